"""Anode: a data-space connector that understands battery passports."""

__version__ = "0.1.0"
