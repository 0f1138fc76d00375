"""Where runs work, and files that are whole or not there, written by one process at a time."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from datamodules.errors import UserError

ROOT = Path(__file__).parents[1]  # of the checkout: the installation is an editable one
RUNS = Path(os.environ.get("RUNS") or ROOT / "runs").absolute()  # what runs work in


@contextmanager
def atomic_write(file: Path) -> Iterator[IO[bytes]]:
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
def exclusive(place: Path, *, wait: str | None = None) -> Iterator[None]:
    """Keep other processes from writing at `place`; a killed one does not keep it.

    Args:
        place: A file or folder; the lock lies beside it.
        wait: What is told on stderr before waiting for another process; None does not wait.

    Raises:
        UserError: Another process writes there, or nobody can.
    """
    lock = FileLock(place.with_suffix(".lock"))  # one of its own: it keeps out threads, too
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        if wait is None:
            raise UserError(f"{place} is being written by another process") from None
        print(wait, file=sys.stderr, flush=True)
        lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write {place.parent}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def display_path(file: Path) -> str:
    """Return a path as a person here would write it."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def file_state(root: str | Path, name: str) -> tuple[int, int] | tuple[None, None]:
    """Return size and time of change of a file, which tell whether it is the one seen before."""
    try:
        found = os.stat(os.path.join(root, name))
    except OSError:
        return None, None
    return found.st_size, found.st_mtime_ns
