"""Where runs work, and files that are whole or not there, written by one process at a time."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from datamodules.errors import UserError
from datamodules.shards.paths import state

ROOT = Path(__file__).parents[1]  # of the checkout: the installation is an editable one


def folder_from_environment(variable: str, default: Path) -> Path:
    """Return the folder that an environment variable names, where `~` is the home, or `default`."""
    return Path(os.path.abspath(os.path.expanduser(os.environ.get(variable) or default)))


RUNS = folder_from_environment("RUNS", ROOT / "runs")  # what runs work in
# What may pass: of the place that is written to, and no fault of what is written.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def why_unwritten(error: OSError, place: Path) -> str:
    """Return in words why nothing can be written at `place`: of a full disk, what it is short of.

    A disk has room for so many bytes, and for so many files and folders (inodes).
    """
    reason = error.strerror or type(error).__name__
    if error.errno == errno.EDQUOT:
        return f"{reason}: the bytes or the files that you may have here are used up (quota -s)"
    there = next((each for each in (place, *place.parents) if os.path.exists(each)), place)
    try:
        disk = os.statvfs(there)
    except OSError:
        return reason
    if error.errno == errno.ENOSPC and disk.f_files and not disk.f_favail and disk.f_bavail:
        free = disk.f_bavail * disk.f_frsize / 1e6
        return (
            f"no free inodes: the disk has room for {disk.f_files:,} files and folders, and has "
            f"them, though {free:,.0f} MB are free"
        )
    return reason


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """Give a path beside `file`; what lies there takes its place where the block ends in peace.

    What a killed process left beside it is written over: one process at a time may write `file`.

    Raises:
        OSError: the disk is full, or nobody may write there; what `file` held it holds still.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    try:
        yield partial
        partial.replace(file)
    except OSError as error:
        if error.errno in NO_ROOM and error.filename is None:
            error.filename = str(file)  # a write does not know what it writes to
        raise
    finally:
        with suppress(OSError):  # of a disk that nobody may write to, it is not there
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_write(file: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `file` that takes its place where the block ends, unless it raises.

    Raises:
        OSError: as `atomic_path`.
    """
    with atomic_path(file) as partial, partial.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())  # before it counts, or a power cut leaves it empty


def demand_folder(folder: Path) -> None:
    """Make a folder, with those above it, where it is not there.

    Raises:
        UserError: it cannot be made; if a file is in its place, that is named.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        raise UserError(f"cannot make the folder {folder}: {there} is no folder") from None
    except OSError as error:
        why = why_unwritten(error, folder)
        raise UserError(f"cannot make the folder {folder}: {why}") from None


def demand_writable(file: Path) -> None:
    """Check that `file` can be written, before the work that makes what it is to hold.

    Its folder is made. What `file` holds stays; `atomic_path` will replace it.

    Raises:
        UserError: it cannot be.
    """
    if not file.name or os.path.isdir(file):
        raise UserError(f"cannot write {file}: it is a folder")
    demand_folder(file.parent)
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}."):
            pass
    except OSError as error:
        raise UserError(f"cannot write {file}: {why_unwritten(error, file)}") from None


@contextmanager
def exclusive(place: Path, *, wait: str | None = None) -> Iterator[None]:
    """Keep other processes from writing at `place`; a killed one does not keep it.

    Args:
        place: A file or folder; the lock lies beside it.
        wait: What is told on stderr before waiting for another process; None does not wait.

    Raises:
        UserError: Another process writes there, or nobody can.
    """
    lock = FileLock(place.with_name(f"{place.name}.lock"))  # one of its own: keeps out threads, too
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        if wait is None:
            raise UserError(f"{place} is being written by another process") from None
        print(wait, file=sys.stderr, flush=True)
        lock.acquire()
    except OSError as error:
        why = why_unwritten(error, place)
        raise UserError(f"cannot write {place.parent}: {why}") from None
    try:
        yield
    finally:
        lock.release()


def build_once(
    folder: Path, build: Callable[[Path], None], *, wait: str, proof: str | None = None
) -> None:
    """Build a folder that appears only when it is complete, unless it is there.

    Of two processes that start at once, one builds, the other waits.

    Args:
        folder: Where it is to lie.
        build: Fills an empty folder beside it, which then takes its place in one step.
        wait: What is told on stderr before waiting for another process.
        proof: A file in it, without which it is built anew; None: the folder is enough.

    Raises:
        UserError: It cannot be written.
    """
    done = folder / proof if proof else folder
    if done.exists():
        return
    with exclusive(folder, wait=wait):
        if done.exists():
            return
        part = folder.with_name(f"{folder.name}.part")
        for leftover in (part, folder):  # of a killed process; of a user who deleted the proof
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            part.mkdir()
            build(part)
            part.rename(folder)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {why_unwritten(error, folder)}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)


def display_path(file: Path) -> str:
    """Return a path as a person here would write it."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def file_state(root: str | Path, name: str) -> tuple[int, int] | tuple[None, None]:
    """Return size and time of change of a file, which tell whether it is the one seen before."""
    try:
        return state(os.path.join(root, name))
    except OSError:
        return None, None
