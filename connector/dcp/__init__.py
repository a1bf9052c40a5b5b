"""The Decentralized Claims Protocol's messages and rules. Pure: keys and the time are arguments."""
