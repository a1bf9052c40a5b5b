"""Identifiers of processes, messages and agreements."""

import secrets
import time


def new_id() -> str:
    """A UUID of version 7 (RFC 9562, 5.7): unguessable, and younger ones sort behind older ones.

    So rows that are alive together lie together in the store, and a commit writes few pages.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62)
    text = f"{value:032x}"
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
