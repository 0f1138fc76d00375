"""Which videos go into which shard, and what they are called there.

Shards of a split follow its list, each up to a number of bytes. Members are called as WebDataset
wants it: all of a video stand together and share a key, a path whose last part has no dot, which
the first dot after it ends. KEY.mp4 is the video, KEY.cls the number of its class, KEY.json its
name and what the lists say of it; of a folder of pictures, KEY.00001.jpg is one of them.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from datamodules.dataset_info import DatasetInfo
from datamodules.errors import UserError
from datamodules.preparation.resumable import Row
from datamodules.shards import paths

AT_ONCE = 16  # files that are looked at: on a network each takes its time
ENDING = re.compile(r"[A-Za-z0-9]+")
NAMELESS = "video"  # ending of a video whose name has none
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # ends a name or a line of an index


class File(NamedTuple):
    """A file that is to be packed: its name in the index and as a member, bytes, time of change."""

    name: str
    member: str
    size: int
    changed: int


class Packed(NamedTuple):
    """A video that is to be packed, with what is written beside it; without files: `problem`."""

    name: str
    files: tuple[File, ...]
    beside: tuple[tuple[str, str], ...]  # member and text
    problem: str | None

    @staticmethod
    def of(plain: Sequence[Any]) -> "Packed":
        """Return what JSON made lists of."""
        name, files, beside, problem = plain
        found = tuple(File(*each) for each in files)
        return Packed(name, found, tuple((member, text) for member, text in beside), problem)


class ShardPlan(NamedTuple):
    """A shard that is to be written."""

    file: str
    videos: tuple[Packed, ...]

    @property
    def size(self) -> int:
        """The bytes of its videos."""
        return sum(file.size for video in self.videos for file in video.files)

    @property
    def key(self) -> str:
        """A checksum of all that its bytes are a function of but those of the videos."""
        return hashlib.sha256(json.dumps(self.videos).encode()).hexdigest()[:32]


def plan_shards(data: DatasetInfo, size: int) -> list[ShardPlan]:
    """Return the shards of a dataset, each of at most `size` bytes or of one video.

    A video that several splits or parts are of lies with the first of them.

    Raises:
        UserError: A name cannot stand in an index, or there is nothing to pack.
    """
    said: dict[str, list[dict[str, Any]]] = {}  # of every video, in the order of the lists
    for split, listed in data.splits.items():
        for index, name in enumerate(listed.names()):
            if CONTROL.search(name):
                raise UserError(f"{data.name}: {name!r} has a tab or the like in its name")
            part = listed.segment(index)
            label = listed.label(index)
            row = {"split": split, "label": label, "class": data.classes[label]}
            times = {} if part is None else {"start": part[0], "end": part[1]}
            said.setdefault(os.path.normpath(name), []).append(row | times)
    if not said:
        raise UserError(f"{data.name}: there is no video")
    keys, used = dict[str, str](), set[str]()
    for name in said:
        keys[name] = _key(name, used)
    root = data.splits["train"].root
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [*pool.map(partial(_look, root), said, keys.values())]
    shards = list[ShardPlan]()
    for split in data.splits:
        videos = [
            (name, files)
            for (name, rows), files in zip(said.items(), found, strict=True)
            if rows[0]["split"] == split
        ]
        for number, some in enumerate(_filled(videos, size)):
            packed = (_packed(name, keys[name], said[name], files) for name, files in some)
            shards.append(ShardPlan(f"{split}-{number:06}.tar", tuple(packed)))
    return shards


Found = tuple[File, ...] | str  # the files of a video, or why there are none


def _look(root: str, name: str, key: str) -> Found:
    """Return the files of a video and their states."""
    path = os.path.join(root, name)
    try:
        if paths.is_folder(path):
            below = [each for each, folder in paths.scan(path) if not folder]
            pairs = [(f"{name}/{each}", f"{key}.{each}") for each in below]
        else:
            ending = os.path.splitext(name)[1][1:]
            pairs = [(name, f"{key}.{ending if ENDING.fullmatch(ending) else NAMELESS}")]
        if os.path.exists(path) and not (os.path.isdir(path) or os.path.isfile(path)):
            return "Is no regular file"
        if wrong := next((each for each, _ in pairs if CONTROL.search(each)), None):
            return f"{wrong!r} has a tab or the like in its name"
        return tuple(File(*pair, *paths.state(os.path.join(root, pair[0]))) for pair in pairs)
    except OSError as error:
        return error.strerror or type(error).__name__


def _key(name: str, used: set[str]) -> str:
    """Return the key of a video, which no other one has."""
    folder, last = os.path.split(name)
    stem = os.path.splitext(last)[0].replace(".", "_") or "_"
    key, number = os.path.join(folder, stem), 1
    while key in used:
        number += 1
        key = os.path.join(folder, f"{stem}-{number}")
    used.add(key)
    return key


def _filled(videos: list[tuple[str, Found]], size: int) -> Iterator[list[tuple[str, Found]]]:
    """Yield the videos shard by shard."""
    some, taken = list[tuple[str, Found]](), 0
    for name, files in videos:
        own = 0 if isinstance(files, str) else sum(file.size for file in files)
        if some and taken + own > size:
            yield some
            some, taken = [], 0
        some.append((name, files))
        taken += own
    if some:
        yield some


def _packed(name: str, key: str, rows: list[Row], files: Found) -> Packed:
    if isinstance(files, str):
        return Packed(name, (), (), files)
    beside = [(f"{key}.json", json.dumps({"name": name, "rows": rows}))]
    if len(labels := {row["label"] for row in rows}) == 1:  # of parts of a long video, several
        beside.insert(0, (f"{key}.cls", str(*labels)))
    return Packed(name, files, tuple(beside), None)
