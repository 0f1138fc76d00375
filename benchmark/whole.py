"""Files that are there whole or not at all, and that one process at a time writes."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmark.errors import UserError


@contextmanager
def whole(file: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `file` that takes its place where the block ends, unless it raises.

    What a killed process left beside it is written over: one process at a time may write `file`.

    Raises:
        OSError: the disk is full, or nobody may write there; what `file` held it holds still.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())  # before it counts, or a power cut leaves it empty
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def alone(place: Path, *, wait: str | None = None) -> Iterator[None]:
    """Keep other processes from writing at `place`; a killed one does not keep it.

    Args:
        place: A file or folder; the lock lies beside it.
        wait: What is told on stderr before waiting for another process; None does not wait.

    Raises:
        UserError: Another process writes there, or nobody can.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = place.with_suffix(".lock").open("w")
    except OSError as error:
        raise UserError(f"cannot write {place.parent}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of threads, too
        except OSError:
            if wait is None:
                raise UserError(f"{place} is being written by another process") from None
            print(wait, file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
