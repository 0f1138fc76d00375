"""What a dataset is: its facts, and lists of videos that stay small however long they get."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datamodules.errors import UserError
from datamodules.randomness import Stream, generator


@dataclass(frozen=True, eq=False)
class Split:
    """A list of labelled videos, or of parts of videos, in a few arrays.

    A million paths as Python strings cost hundreds of megabytes, and every loader worker would
    copy them as reference counts change; arrays are shared by all workers for good.
    """

    root: str  # where the videos lie on this machine; no part of the checksum
    text: NDArray[np.uint8]  # all paths relative to root, UTF-8, one after the other
    starts: NDArray[np.int64]  # path i is text[starts[i]:ends[i]]
    ends: NDArray[np.int64]
    labels: NDArray[np.int64]
    # Equal numbers: videos that share a source, such as a film, and are no independent evidence.
    clusters: NDArray[np.int64]
    segments: NDArray[np.float64] | None = None  # (N, 2) start and end, seconds; None: all of each
    file_sizes: NDArray[np.int64] | None = None  # (N,) bytes; None: not looked at, but listed

    @staticmethod
    def of(
        paths: Sequence[str],
        labels: ArrayLike,
        root: str | Path = "",
        segments: ArrayLike | None = None,
        file_sizes: ArrayLike | None = None,
        clusters: Sequence[str] | ArrayLike | None = None,
    ) -> "Split":
        """Pack `paths`, relative to `root`, their class numbers, parts that are meant, and sizes.

        Args:
            paths: N of them.
            labels: (N,) class numbers.
            root: Where the videos lie.
            segments: (N, 2), start and end in seconds. None: all of each video.
            file_sizes: (N,), bytes. None: nobody looked.
            clusters: (N,), the source of each video, by number or by name; videos of one source
                are counted together where it is said how sure an accuracy is. None: every video
                is its own.

        Raises:
            ValueError: Lengths differ.
            UnicodeEncodeError: A path is no text.
        """
        lengths = np.fromiter((len(path.encode()) for path in paths), np.int64, len(paths))
        ends = np.cumsum(lengths)
        text = np.frombuffer("".join(paths).encode(), np.uint8)
        numbers = np.asarray(labels, np.int64)
        parts = None if segments is None else np.asarray(segments, np.float64)
        sources = np.arange(len(paths)) if clusters is None else np.asarray(clusters)
        if numbers.shape != (len(paths),):
            raise ValueError(f"{len(paths)} paths, but labels of shape {numbers.shape}")
        if parts is not None and parts.shape != (len(paths), 2):
            raise ValueError(f"{len(paths)} paths, but segments of shape {parts.shape}")
        sizes = None if file_sizes is None else np.asarray(file_sizes, np.int64)
        if sizes is not None and sizes.shape != (len(paths),):
            raise ValueError(f"{len(paths)} paths, but sizes of shape {sizes.shape}")
        if sources.shape != (len(paths),):
            raise ValueError(f"{len(paths)} paths, but clusters of shape {sources.shape}")
        each = np.unique(sources, return_inverse=True)[1].astype(np.int64)
        return Split(str(root), text, ends - lengths, ends, numbers, each, parts, sizes)

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """Return the path of a video as the dataset lists it, relative to the root."""
        return self.text[self.starts[index] : self.ends[index]].tobytes().decode()

    def path(self, index: int) -> str:
        """Return the path of a video on this machine."""
        return os.path.join(self.root, self.name(index))  # a Path interns its parts

    def label(self, index: int) -> int:
        """Return the class number of a video."""
        return int(self.labels[index])

    def segment(self, index: int) -> tuple[float, float] | None:
        """Return start and end of the part of a video that is meant, in seconds; None is all."""
        if self.segments is None:
            return None
        start, end = self.segments[index].tolist()
        return start, end

    def names(self) -> Iterator[str]:
        """Yield the paths as the dataset lists them, in order."""
        return map(self.name, range(len(self)))

    def select(self, indices: ArrayLike) -> "Split":
        """Return the videos at `indices`, in that order; the text is shared, not copied."""
        rows = np.asarray(indices, np.int64)
        return replace(
            self,
            starts=self.starts[rows],
            ends=self.ends[rows],
            labels=self.labels[rows],
            clusters=self.clusters[rows],
            segments=None if self.segments is None else self.segments[rows],
            file_sizes=None if self.file_sizes is None else self.file_sizes[rows],
        )

    def sha256(self) -> str:
        """Return a checksum of names, labels, segments and order, the same on every machine.

        Clusters are no part of it: what was watched is the same, however it is counted.
        """
        digest = hashlib.sha256()
        for index, name in enumerate(self.names()):
            part = self.segment(index)
            seconds = "" if part is None else f"\0{part[0]!r}\0{part[1]!r}"
            digest.update(f"{name}\0{self.labels[index]}{seconds}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class DatasetInfo:
    """A dataset with its facts."""

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]  # "train", "test", and "holdout" where there is one
    # "ok"; "never" where a horizontal flip changes the label; "swap" where it makes it another
    # label, and which label becomes which is known: the pairs are `swaps`.
    flip: str
    swaps: tuple[tuple[int, int], ...] = ()
    # The accuracy on "test" that no model blind to the order of frames can exceed, if one is known.
    order_blind_ceiling: float | None = None
    # Few shots, or a fraction: which of the listed train videos they are.
    chosen: tuple[int, ...] | None = None
    held_out: tuple[int, ...] | None = None  # which of the train videos became "holdout"
    warnings: tuple[str, ...] = ()  # what is odd in its lists, a line each
    # The splits before any were chosen or a holdout was taken; left out: as `splits` is.
    listed: Mapping[str, Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.listed:
            object.__setattr__(self, "listed", dict(self.splits))

    @property
    def evaluation_split(self) -> Literal["test", "holdout"]:
        """The split that is tested on: "holdout" where there is one, so that "test" is not read."""
        return "holdout" if "holdout" in self.splits else "test"


def hold_out(data: DatasetInfo, share: float, seed: int) -> DatasetInfo:
    """Set part of the training videos aside for tuning, so that tuning never sees the test split.

    A dataset that ships its own holdout keeps its whole train split. Otherwise a random `share` of
    every class moves from train to "holdout"; which ones is a function of `seed` and the labels.

    Args:
        data: The dataset.
        share: Part of train, 0 to 1. With 0 the result has no holdout at all.
        seed: Chooses the videos.

    Raises:
        UserError: If `share` is out of range, or takes no video or a whole class.
    """
    if not 0 <= share < 1:
        raise UserError(f"train.holdout must be at least 0 and below 1, not {share}")
    splits = {name: split for name, split in data.splits.items() if name != "holdout"}
    if share == 0:
        return replace(data, splits=splits, held_out=None)
    if "holdout" in data.splits:
        return replace(data, held_out=None)
    labels = splits["train"].labels
    rng = generator(Stream.HOLDOUT, seed, len(labels))
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held[members[: round(share * len(members))]] = True
        if held[members].all():
            raise UserError(f"train.holdout={share} leaves class {data.classes[label]!r} no video")
    if not held.any():
        raise UserError(f"train.holdout={share} of {len(labels)} videos of {data.name} is none")
    chosen = np.flatnonzero(held)
    splits["holdout"] = splits["train"].select(chosen)
    splits["train"] = splits["train"].select(np.flatnonzero(~held))
    return replace(data, splits=splits, held_out=tuple(chosen.tolist()))
