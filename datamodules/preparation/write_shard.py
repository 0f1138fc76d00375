"""Write one shard: a tar file that is there whole or not at all, and the lines of its index."""

import os
import tarfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from datamodules.files import atomic_write
from datamodules.preparation.shard_plan import File, ShardPlan
from datamodules.shards.index import Member
from datamodules.shards.paths import opened

BLOCK = 2**20  # bytes copied at once
TAR_BLOCK, RECORD = 512, 10_240  # bytes: members are filled up to the first, files to the second
LATEST = 2**33 - 1  # seconds that a tar header has room for


LEFT_OUT = Member(-1, 0, -1, 0, 0)


class Written(NamedTuple):
    """What came of a shard: where everything lies in it, by name, and videos that were left out."""

    members: dict[str, Member]
    problems: dict[str, str]
    again: bool  # whether another try may pack what was left out


def write_shard(plan: ShardPlan, root: str, out: Path) -> Written:
    """Write a shard into `out`.

    A video that is not there is left out and noted, and so is what the machine does not deliver.

    Args:
        plan: What goes into it.
        root: Where the videos lie.
        out: Where it is to lie.

    Raises:
        OSError: It cannot be written.
    """
    members, problems, again = dict[str, Member](), dict[str, str](), False
    with atomic_write(out / plan.file) as tar:
        for video in plan.videos:
            if video.problem is not None:
                members[video.name] = LEFT_OUT
                problems[video.name] = video.problem
                continue
            begin, own = tar.tell(), dict[str, Member]()
            try:
                for file in video.files:
                    own[file.name] = _copy(os.path.join(root, file.name), file, tar)
            except _Unread as error:
                tar.seek(begin)
                tar.truncate()
                members[video.name] = LEFT_OUT
                problems[video.name], again = str(error), True
                continue
            members |= own
            for name, text in video.beside:
                _add(tar, name, text.encode(), video.files)
        tar.write(b"\0" * 2 * TAR_BLOCK)
        tar.write(b"\0" * (-tar.tell() % RECORD))
    return Written(members, problems, again)


class _Unread(Exception):
    """A video was not delivered as it was when it was looked at."""


def _copy(path: str, file: File, tar: IO[bytes]) -> Member:
    """Append a file to a shard."""
    tar.write(_header(file.member, file.size, file.changed))
    first, crc32, left = tar.tell(), 0, file.size
    try:
        source = opened(path)
    except OSError as error:
        raise _Unread(error.strerror) from error
    with source:
        while True:
            try:
                block = source.read(BLOCK)
            except OSError as error:
                raise _Unread(error.strerror) from error
            if not block:
                break
            tar.write(block)
            crc32, left = zlib.crc32(block, crc32), left - len(block)
    if left:
        raise _Unread("it was written to meanwhile")
    tar.write(b"\0" * (-file.size % TAR_BLOCK))
    return Member(0, first, file.size, file.changed, crc32)


def _add(tar: IO[bytes], name: str, content: bytes, like: tuple[File, ...]) -> None:
    """Append a small file of the time of others."""
    tar.write(_header(name, len(content), max((file.changed for file in like), default=0)))
    tar.write(content + b"\0" * (-len(content) % TAR_BLOCK))


def _header(name: str, size: int, changed: int) -> bytes:
    """Return what stands before a member: the same whoever packs it, wherever."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, min(max(0, changed // 10**9), LATEST)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
