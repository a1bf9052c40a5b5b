"""The `anode` command."""
