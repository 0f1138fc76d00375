"""Splits: which videos records were tested on, kept once for all records of a protocol.

`results/PROTOCOL/splits/` holds a file per list of videos, called by its checksum: names, labels,
segments and clusters. A name is of no use to a single run, and its list is the largest thing that
runs share: for Kinetics-400 it takes 100 times as much as a run's right answers.
"""

import zlib
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np

from benchmark.errors import UserError
from datamodules.dataset_info import Split
from datamodules.files import atomic_write

FOLDER = "splits"
DIGITS = 16  # of the checksum, in the file's name
# What reading an npz file raises that is damaged, or holds something else.
DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, RuntimeError),
    *(EOFError, BadZipFile, zlib.error),
)


def path(file: Path, sha256: str) -> Path:
    """Return where the split `sha256` of the record `file` lies: in the folder of its protocol."""
    return file.parents[3] / FOLDER / f"{sha256[:DIGITS]}.npz"  # data/backbone/method/seedN.json


def write(file: Path, split: Split) -> None:
    """Keep a split for the record `file`, unless it is kept already.

    Raises:
        OSError: it cannot be written.
    """
    place = path(file, split.sha256())
    if place.exists():
        return
    names = [name.encode() for name in split.names()]
    arrays: dict[str, Any] = {
        "text": np.frombuffer(b"".join(names), np.uint8),
        "lengths": np.array([len(name) for name in names], np.int64),
        "labels": split.labels,
        "clusters": split.clusters,
    }
    if split.segments is not None:
        arrays["segments"] = split.segments
    own = place.with_name(f".{uuid4().hex}.npz")  # other runs may write the same at this moment
    with atomic_write(own) as stream:
        np.savez_compressed(stream, **arrays)
    own.replace(place)


def read(file: Path, sha256: str) -> Split:
    """Return the split `sha256` that the record `file` names; each is read once per process.

    Raises:
        UserError: it is not there, or not what its checksum says.
    """
    return _read(path(file, sha256), sha256)


@cache
def _read(place: Path, sha256: str) -> Split:
    try:
        with place.open("rb") as stream, np.load(stream) as arrays:
            found = dict(arrays)
        ends = np.cumsum(found["lengths"])
        split = Split(
            "",
            found["text"],
            ends - found["lengths"],
            ends,
            found["labels"],
            found["clusters"],
            found.get("segments"),
        )
        right = len(split.clusters) == len(split) and split.sha256() == sha256
    except FileNotFoundError:
        raise UserError(
            f"no split {place}: its record says on which videos it was tested"
        ) from None
    except DAMAGE as error:
        raise UserError(f"{place}: not a split: {error}") from None
    if not right:
        raise UserError(f"{place}: not the split whose checksum is {sha256[:DIGITS]}...")
    return split
