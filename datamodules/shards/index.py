"""What lies where in a folder of shards: names of videos, and the bytes that are theirs.

A folder of shards holds tar files, `shards.tsv` with a line per file that was packed, sorted by the
bytes of its name, and `shards.json`, which says that all of it is there: it is written last. A line
is name, shard (by number in shards.json), first byte, bytes, time of change (ns), CRC-32; of a file
that was listed and could not be packed, shard and bytes are -1. A name is found by bisection in the
mapped file: nothing is read into memory, and all processes share its pages.
"""

import errno
import json
import mmap
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import UserError

FACTS, NAMES = "shards.json", "shards.tsv"
PACKING = ".packing"  # folder of what is not finished
VERSION = 1  # of both files
AGAIN = "copy it again, or pack it again"
FOUND = set[str]()  # folders of shards, which are asked before others


class Member(NamedTuple):
    """A packed file: the bytes of a shard that are its own."""

    shard: int  # number; -1 where it could not be packed
    first: int
    size: int
    changed: int  # ns
    crc32: int


class Shard(NamedTuple):
    """A tar file."""

    path: str
    size: int


class Index:
    """The names in a folder of shards.

    Args:
        folder: The folder.

    Raises:
        UserError: What says so is no index.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        facts = read_facts(folder)
        self.shards = [Shard(os.path.join(folder, n), s) for n, s, _ in facts["shards"]]
        names = os.path.join(folder, NAMES)
        try:
            with open(names, "rb") as file:
                self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise UserError(f"{names}: {getattr(error, 'strerror', None) or error}") from None
        if len(self._lines) != facts["bytes"]:
            raise UserError(
                f"{names}: {len(self._lines):,} bytes, not the {facts['bytes']:,} that {FACTS} "
                f"says; {AGAIN}"
            )

    def find(self, name: str) -> Member | None:
        """Return where the file `name` lies, relative to the folder, None if there is none.

        Raises:
            OSError: What stands there is no place in these shards.
        """
        wanted = _bytes(name)
        place = self._bisect(wanted)
        line = self._lines[place : self._lines.find(b"\n", place)] if self._at(place) else b""
        own, _, rest = line.partition(b"\t")
        if own != wanted:
            return None
        try:
            found = Member(*map(int, rest.split(b"\t")))
            if not -1 <= found.shard < len(self.shards):
                raise ValueError
        except (ValueError, TypeError):
            said = f"{os.path.join(self.folder, NAMES)} is damaged where {name} stands; {AGAIN}"
            raise OSError(errno.EIO, said) from None
        return found

    def entries(self, name: str) -> dict[str, bool]:
        """Return what lies in the folder `name`, and whether it is a folder; {}: there is none."""
        return dict(self._entries(_bytes(f"{name}/") if name else b""))

    def is_folder(self, name: str) -> bool:
        """Return whether anything lies in the folder `name`."""
        return next(self._entries(_bytes(f"{name}/")), None) is not None

    def demand_whole(self) -> None:
        """Look at the size of every shard.

        Raises:
            UserError: One is not there, or not as it was written.
        """
        for shard in self.shards:
            try:
                found = os.stat(shard.path).st_size
            except OSError as error:
                raise UserError(f"{shard.path}: {error.strerror}; {AGAIN}") from None
            if found != shard.size:
                raise UserError(
                    f"{shard.path}: {found:,} bytes, not the {shard.size:,} that {FACTS} says: it "
                    f"is cut off, or has changed; {AGAIN}"
                )

    def _entries(self, prefix: bytes) -> Iterator[tuple[str, bool]]:
        place = self._bisect(prefix)
        while self._at(place):
            name = self._lines[place : self._lines.find(b"\t", place)]
            if not name.startswith(prefix):
                return
            entry, below, _ = name[len(prefix) :].partition(b"/")
            yield entry.decode(errors="surrogateescape"), bool(below)
            after = prefix + entry + b"0"  # which follows "/"
            place = self._bisect(after) if below else self._lines.find(b"\n", place) + 1

    def _at(self, place: int) -> bool:
        return place < len(self._lines)

    def _bisect(self, name: bytes) -> int:
        """Return where the first line starts whose name is not before `name`."""
        lines, low, high = self._lines, 0, len(self._lines)
        while low < high:
            middle = (low + high) // 2
            start = lines.rfind(b"\n", low, middle) + 1 or low
            if lines[start : lines.find(b"\t", start)] < name:
                low = lines.find(b"\n", middle) + 1
            else:
                high = start
        return low


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def read_facts(folder: str) -> dict[str, Any]:
    """Return what is in the `shards.json` of a folder: "shards", each [name, bytes, plan], "bytes".

    Raises:
        UserError: It is none, or of a newer version.
    """
    file = os.path.join(folder, FACTS)
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        if found["version"] > VERSION:
            raise UserError(f"{file}: is of version {found['version']}, newer than this code")
        checked = {
            "shards": [(str(name), int(size), str(plan)) for name, size, plan in found["shards"]],
            "bytes": int(found["bytes"]),
        }
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{file}: it is no index of shards") from None
    return checked


def index_at(folder: str) -> Index | None:
    """Return the index in a folder, None if it holds none.

    Raises:
        UserError: There is one, and it is broken.
        OSError: It is being packed: what is not there yet is not missing.
    """
    try:
        found = os.stat(os.path.join(folder, FACTS))
    except (OSError, ValueError):
        if os.path.exists(os.path.join(folder, PACKING)):
            said = f"{folder} is being packed, or that was interrupted: type prepare --shards again"
            raise OSError(errno.EIO, said) from None
        return None
    return _index(folder, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=16)
def _index(folder: str, *state: int) -> Index:
    """Return the index in a folder, opened once while it is as it was."""
    return Index(folder)


def index_around(path: str) -> tuple[Index, str] | None:
    """Return the index of a folder of shards around a path, and the name it has there."""
    path = os.path.abspath(path)
    around = [path]
    while (above := os.path.dirname(around[-1])) != around[-1]:
        around.append(above)
    for folder in [*FOUND.intersection(around), *around]:
        if index := index_at(folder):
            FOUND.add(folder)
            return index, path[len(folder.rstrip("/")) + 1 :]
    return None


def demand_whole(path: str) -> None:
    """Look at the shards that a path lies in, if it lies in any.

    Raises:
        UserError: One is not there, or not as it was written; or they are being packed.
    """
    try:
        found = index_around(path)
    except OSError as error:
        raise UserError(error.strerror or str(error)) from None
    if found:
        found[0].demand_whole()
