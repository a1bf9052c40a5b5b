"""Every outbound byte: the egress guard, limits and the DID resolver."""
