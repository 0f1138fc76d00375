"""Leave a process without taking apart what it has imported.

Python frees torch, Lightning and all they hold object by object as it exits: 1.5 CPU-seconds, and
two of a fork, which copies every page it touches. Where a process says how it ends (`leave`), what
is registered with `atexit` is done, what is printed is flushed, and nothing is freed.

Imported before anything else: what is registered first is done last.
"""

import atexit
import os
import sys
from typing import NoReturn

_status: int | None = None  # as `leave` said it
UNPRINTED = 120  # Python's exit code where its last words cannot be printed


def leave(status: int) -> NoReturn:
    """Exit with a status; threads are waited for, and what is registered is done."""
    global _status
    _status = status
    sys.exit(status)


def _end() -> None:
    """End this process, if `leave` said so: any other exit is Python's own."""
    if _status is None:
        return
    status = _status
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            status = UNPRINTED
    os._exit(status)


atexit.register(_end)
