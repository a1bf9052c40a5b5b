"""One module per main way through the node: who decides what, between the protocol and the store."""
