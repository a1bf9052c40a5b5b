"""Keys, DIDs and signatures. Pure: keys, documents and the time are arguments."""
