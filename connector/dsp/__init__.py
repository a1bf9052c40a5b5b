"""The Dataspace Protocol 2025-1 as values and pure functions: no clock, no sockets, no SQL."""
