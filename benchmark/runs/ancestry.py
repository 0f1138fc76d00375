"""Whom a process dies with, and whose orphans it takes in: what Linux's `prctl` is asked for."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1  # the signal a process gets when its parent dies
PR_SET_CHILD_SUBREAPER = 36  # whether orphans among its descendants become its children
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # found here, before any fork


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux).

    Args:
        parent: The parent's process id, where known: it may have died already.
    """
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os._exit(1)


@contextmanager
def adopting() -> Iterator[None]:
    """Make descendants whose parent dies meanwhile children of this process, for good (Linux)."""
    assert LIBC is not None
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
