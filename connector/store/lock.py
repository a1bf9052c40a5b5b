"""One node per store: what a node remembers in memory of its store would not be true beside another."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import AnodeError


@contextmanager
def owned(store: Path) -> Iterator[None]:
    """While the store is ours. The system gives it back when the process ends, however it ends.

    :raises AnodeError: another process has it, or its folder can't be written.
    """
    path = Path(f"{store}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise AnodeError(f"{path}: can't be written: {problem.strerror}.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            raise AnodeError(
                f"{store}: another node runs on this store{f' (process {holder})' if holder else ''}; "
                "stop it, or give this one a store of its own."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
