"""Right answers: which videos of its split a run had right, packed as bits beside its record.

`seedN.answers.npz` has one bit per video, in the order of the split, for top-1, for top-5 and for
top-1 of the merged model: 2.5 kB each for Kinetics-400. All that is said of accuracy comes from
them. `seedN.npz`, the scores of all classes, 32 MB for Kinetics-400, is optional and out of git.
"""

import io
import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.results import predictions, record, splits
from benchmark.results.record import Record
from datamodules.dataset_info import Split
from datamodules.files import atomic_write

Bits = NDArray[np.bool_]
START = 10  # bytes of an array in numpy's format before its header, whose length the last two say
NOT_IN_BITS = ("clip_top1", "merged_score_change")  # metrics of single views, and of scores


@dataclass(frozen=True, eq=False)
class Answers:
    """Which videos a run had right, (N,) each, in the order of the split.

    Attributes:
        top1: Whether the first answer was right.
        top5: Whether one of the first five was. None: fewer than five classes.
        merged_top1: As `top1`, of the merged model. None: nothing merges, or an older run.
    """

    top1: Bits
    top5: Bits | None = None
    merged_top1: Bits | None = None


def path(file: Path) -> Path:
    """Return where the answers of the record `file` lie: beside it."""
    return file.with_suffix(".answers.npz")


def write(file: Path, answers: Answers) -> None:
    """Write the answers of the record `file`; the same answers give the same bytes.

    Raises:
        OSError: they cannot be written.
    """
    found = {name: bits for name, bits in vars(answers).items() if bits is not None}
    packed: dict[str, Any] = {name: np.packbits(bits) for name, bits in found.items()}
    with atomic_write(path(file)) as stream:
        np.savez(stream, videos=np.array(len(answers.top1)), **packed)


def read(file: Path) -> Answers:
    """Return the answers of the record `file`; of an older one, as its scores have them.

    Raises:
        UserError: there are none, or they are broken.
    """
    for place, unpack in ((path(file), _of_bits), (predictions.path(file), _of_scores)):
        try:
            return unpack(_arrays(place))
        except FileNotFoundError:
            continue
        except splits.DAMAGE as error:
            raise UserError(f"{place}: not the answers of a run: {error}") from None
    raise UserError(f"no answers {path(file)} beside the record")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an accuracy rests on: the videos a run was tested on.

    Attributes:
        right: (N,), whether its first answer was right.
        clusters: (N,), the source of each video.
        split: The checksum of the list of videos.
    """

    right: Bits
    clusters: NDArray[np.int64]
    split: str


def evidence(found: Record, file: Path | None = None) -> Evidence | None:
    """Return what the accuracy of a record rests on, None if it is not kept.

    What is kept, but broken or of other videos, is told on stderr.

    Args:
        found: The record.
        file: Where it lies. None: in RESULTS.
    """
    file = file or record.path(found.name)
    listed = found.data.splits[found.metrics.split].sha256
    if not splits.path(file, listed).exists():
        return None
    try:
        right, split = read(file).top1, splits.read(file, listed)
        if len(right) != len(split):
            raise UserError(f"{file}: {len(right)} answers to {len(split)} videos")
    except UserError as error:
        print(f"warning: no interval: {error}", file=sys.stderr)
        return None
    return Evidence(right, split.clusters, listed)


def metrics_of(answers: Answers, split: Split) -> dict[str, float]:
    """Return the metrics of a record that its answers give: all but those in NOT_IN_BITS.

    Args:
        answers: To the videos of `split`.
        split: What was tested; classes that have no video do not enter `mean_class`.

    Raises:
        UserError: there are more answers than videos, or fewer.
    """
    videos = len(answers.top1)
    if videos != len(split):
        raise UserError(f"{videos} answers, but the split has {len(split)} videos")
    each = np.bincount(split.labels)  # (K,) videos of each class
    right = np.bincount(split.labels[answers.top1], minlength=len(each))
    present = each > 0
    found = {
        "videos": videos,
        "top1": _share(answers.top1),
        "mean_class": float((right[present] / each[present]).mean()),
        "chance": int(each.max()) / videos,
    }
    if answers.top5 is not None:
        found["top5"] = _share(answers.top5)
    if answers.merged_top1 is not None:
        found["merged_top1"] = _share(answers.merged_top1)
        found["merged_top1_change"] = found["merged_top1"] - found["top1"]
    return found


def _arrays(place: Path) -> dict[str, NDArray[Any]]:
    """Return what an npz file holds. A board opens thousands, whose headers are few: parsed once.

    Raises:
        FileNotFoundError: there is none; one of `splits.DAMAGE`: it is broken.
    """
    with ZipFile(place) as held:
        members = {name.removesuffix(".npy"): held.read(name) for name in held.namelist()}
    found = {}
    for name, content in members.items():
        start = START + int.from_bytes(content[START - 2 : START], "little")
        shape, fortran, dtype = _header(content[:start])
        array = np.frombuffer(content, dtype, math.prod(shape), offset=start)
        found[name] = array.reshape(shape, order="F" if fortran else "C")
    return found


@cache
def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether it is in Fortran's order, and dtype of an array in numpy's format."""
    stream = io.BytesIO(content)
    if (version := npy.read_magic(stream)) != (1, 0):
        raise ValueError(f"an array in version {version} of numpy's format, not (1, 0)")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = npy.read_array_header_1_0(stream)
    return header


def _share(bits: Bits) -> float:
    return int(np.count_nonzero(bits)) / len(bits)


def _of_bits(arrays: dict[str, NDArray[Any]]) -> Answers:
    videos = int(arrays.pop("videos"))
    found: dict[str, Bits] = {}
    for name, packed in arrays.items():
        if packed.dtype != np.uint8 or packed.shape != (-(-videos // 8),):
            raise ValueError(f"{name} has not the bits of {videos} videos")
        found[name] = np.unpackbits(packed, count=videos).astype(bool)
    return Answers(**found)


def _of_scores(arrays: dict[str, NDArray[Any]]) -> Answers:
    """Return what the scores (N, K) of a run say; of equal ones the first class is answered."""
    scores, label = arrays["scores"], arrays["label"]
    first = np.argsort(-scores, axis=1, kind="stable")[:, :5] == label[:, None]
    return Answers(first[:, 0], first.any(axis=1) if scores.shape[1] >= 5 else None)
