"""The folder a run works in, `RUNS/<name>/`: what lies there, and whose it is just now."""

import fcntl
import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from benchmark.errors import UserError
from datamodules.files import demand_folder, why_unwritten

CHECKPOINT = "last.ckpt"  # what the run goes on from
LOG = "log.txt"  # its output
PROGRESS = "progress.jsonl"  # what it tells while it works
MEMORY = "memory.json"  # how many clips at once it has room for
SUBMISSION = "slurm.json"  # the job of Slurm's that it was given to last
AGAIN = "again"  # there while a run that was to start afresh has not ended
SET_ASIDE = "old."  # before the name of a record that is being made again
LOCK = "lock"  # held by the process that works here; says which


class FolderHeld(UserError):
    """Another process works there."""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone; the lock ends with the process, however it ends.

    Raises:
        FolderHeld: another process holds it; it is named.
        UserError: nobody can write there.
    """
    demand_folder(folder)
    with _opened(folder / LOCK) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by forks
        except (BlockingIOError, PermissionError):
            raise FolderHeld(f"{folder} is being worked on by {holder(folder)}") from None
        os.ftruncate(file.fileno(), 0)
        with suppress(OSError):  # a full disk; others are told of "another process"
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            os.ftruncate(file.fileno(), 0)


def _opened(file: Path) -> IO[str]:
    try:
        return file.open("a+", errors="replace")
    except OSError as error:
        raise UserError(f"cannot write {file}: {why_unwritten(error, file)}") from None


def held(folder: Path) -> bool:
    """Return whether a process, on any machine that shares the folder, holds its lock.

    Asking takes no lock: a run that starts at that moment is not turned away.
    """
    try:
        with (folder / LOCK).open("r+", errors="replace") as file:
            if sys.platform != "linux":  # whose struct flock is another
                return bool(file.read().strip())
            question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, question)
            return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
    except OSError:  # never started, or not ours to ask
        return False


def holder(folder: Path) -> str:
    """Return which process holds a folder, as it says itself."""
    try:
        return (folder / LOCK).read_text().strip() or "another process"
    except OSError:
        return "another process"


def clear(folder: Path) -> None:
    """Remove what a run left where it works, its checkpoint above all: it will start afresh.

    A record that was set aside stays.

    Raises:
        FolderHeld: a process works there.
    """
    with lock(folder):
        for each in folder.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != LOCK and not each.name.startswith(SET_ASIDE):
                each.unlink()
