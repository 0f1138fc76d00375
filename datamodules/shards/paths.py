"""What is asked of a path, whether it is a file or was packed into a shard of a folder around it.

What is there as a file is taken as it is: whoever has no shards is asked nothing more.
"""

import io
import os
import stat
from pathlib import Path

from datamodules.shards.index import Index, Member, index_around
from datamodules.shards.member import MemberFile

ABSENT = (FileNotFoundError, NotADirectoryError)  # no such file: a list is wrong, not the disk


def is_folder(path: str | Path) -> bool:
    """Return whether there is such a folder."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        found = index_around(str(path))
        return found is not None and found[0].is_folder(found[1])


def exists(path: str | Path) -> bool:
    """Return whether there is anything."""
    return os.path.exists(path) or _found(str(path)) is not None or is_folder(path)


def scan(path: str | Path) -> list[tuple[str, bool]]:
    """Return what lies in a folder and what was packed of it, by name; True where it is a folder.

    Raises:
        OSError: There is no such folder, or it cannot be read.
    """
    around = index_around(str(path))
    found = around[0].entries(around[1]) if around else {}
    try:
        with os.scandir(path) as own:
            found |= {each.name: each.is_dir() for each in own}
    except ABSENT:
        if not found:
            raise
    return sorted(found.items())


def entries(path: str | Path) -> list[str]:
    """Return the names of what lies in a folder, sorted; of one that is not there, what was packed.

    Raises:
        OSError: There is no such folder, or it cannot be read.
    """
    try:
        return sorted(os.listdir(path))
    except ABSENT:
        return [name for name, _ in scan(path)]


def state(path: str | Path) -> tuple[int, int]:
    """Return bytes and time of change (ns), of a packed folder those of all that lies in it.

    Raises:
        OSError: There is nothing, or it cannot be asked.
    """
    try:
        found = os.stat(path)
    except ABSENT:
        if packed := _found(str(path)):
            return packed[1].size, packed[1].changed
        if is_folder(path):
            each = [state(os.path.join(path, name)) for name in entries(path)]
            return sum(size for size, _ in each), max(changed for _, changed in each)
        raise
    return found.st_size, found.st_mtime_ns


def total_bytes(path: str | Path) -> int:
    """Return the bytes of a file, or of all files in a folder.

    Raises:
        OSError: There is nothing, or it cannot be asked.
    """
    if not is_folder(path):
        return state(path)[0]
    return sum(state(os.path.join(path, name))[0] for name in entries(path))


def packed_file(path: str, *, check: bool = False) -> MemberFile | None:
    """Return a file that was packed into a shard, opened; None if there is none.

    Args:
        path: Where it would lie.
        check: Whether reading all of it compares its checksum.

    Raises:
        OSError: Its shard does not deliver it.
    """
    if not (found := _found(path)):
        return None
    index, member = found
    return MemberFile(path, index.shards[member.shard], member, check=check)


def opened(path: str) -> io.BufferedReader:
    """Open a file to read its bytes; where all of a packed one are read, they are checked.

    Raises:
        OSError: There is none, or it cannot be read.
    """
    try:
        return open(path, "rb")
    except ABSENT:
        if (packed := packed_file(path, check=True)) is None:
            raise
        return io.BufferedReader(packed)


def _found(path: str) -> tuple[Index, Member] | None:
    """Return where a file was packed, None if it was not."""
    if not (around := index_around(path)):
        return None
    index, name = around
    member = index.find(name)
    return (index, member) if member and member.shard >= 0 else None
