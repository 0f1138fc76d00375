"""Tell a broken video from a machine that cannot deliver it just now.

FFmpeg makes one thing of both: a file that is cut off and a disk that fails end in the same errors,
in a decoder's "damaged" as well. So whoever reads a video for good asks here: before it is called
broken, all bytes of its file are read once, and it is decoded a second time. What the machine
refuses (an I/O error, no memory, no more open files) is tried again after growing pauses, and is
never taken for the video's fault. What does not answer at all, `loading/deadline.py` gives up.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from datamodules.decoding.video import DecodeError, RandomAccessVideo, ReadError
from datamodules.shards.paths import ABSENT, entries, is_folder, opened

PAUSES = (0.1, 1.0, 5.0)  # seconds before the tries that follow the first
BLOCK = 2**22  # bytes read at once

Taken = TypeVar("Taken")


def read_video(
    path: str,
    open_video: Callable[[], RandomAccessVideo],
    take: Callable[[RandomAccessVideo], Taken],
) -> Taken:
    """Return what `take` makes of a video.

    Args:
        path: Of the file, or of a folder of pictures.
        open_video: Opens it.
        take: Called anew for every try.

    Raises:
        DecodeError: It is broken, or there is no such file.
        ReadError: The machine did not deliver it, however often it was asked.
    """
    pauses, verified = list(PAUSES), False
    failure: OSError | MemoryError | None
    while True:
        try:
            with open_video() as video:
                return take(video)
        except DecodeError as error:
            if verified or error.known:
                raise
            failure = _trouble(path)
            verified = failure is None
        except (OSError, MemoryError) as error:
            failure = error
        if failure is not None:
            if not pauses:
                raise ReadError(_told(path, failure)) from failure
            time.sleep(pauses.pop(0))


def demand_readable(
    path: str, *, pipes: bool = False, each: Callable[[], None] = lambda: None
) -> None:
    """Read all bytes of a file, or of the files in a folder, for nothing.

    Args:
        path: Of the file, or of the folder.
        pipes: Read what is no regular file, too: it may block for ever.
        each: Called after every block of `BLOCK` bytes.

    Raises:
        OSError: One cannot be read, though it is there.
    """
    if is_folder(path):
        for name in entries(path):
            _read_through(os.path.join(path, name), pipes, each)
    else:
        _read_through(path, pipes, each)


def _read_through(file: str, pipes: bool, each: Callable[[], None]) -> None:
    try:
        if not pipes and os.path.exists(file) and not os.path.isfile(file):  # it might block
            return
        with opened(file) as stream:
            while stream.read(BLOCK):
                each()
    except ABSENT:
        return


def _trouble(path: str) -> OSError | None:
    try:
        demand_readable(path)
    except OSError as error:
        return error
    return None


def _told(path: str, error: OSError | MemoryError) -> str:
    tries = f"asked {len(PAUSES) + 1} times in {sum(PAUSES):.0f} s"
    if isinstance(error, MemoryError):
        return f"{path}: no memory to decode it, {tries}; fewer workers need less"
    return f"{path}: {error.strerror or type(error).__name__}, {tries}"
