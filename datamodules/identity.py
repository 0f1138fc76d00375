"""Which data something was made of: what tells a dataset from another one of the same name.

It speaks of lists, labels and class names, and of the sizes of files where a list was made of the
files themselves; never of where they lie: the same videos at another place are the same data.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.dataset_info import DatasetInfo, Split


@dataclass(frozen=True, kw_only=True)
class ListedVideos:
    """The videos that a split lists; what is None is not known.

    Attributes:
        videos: How many.
        sha256: Of their names and labels, in order (`Split.sha256`).
        names_sha256: Of their names alone, in order.
        sizes_sha256: Of the sizes of their files; None, too, where a list names them.
        per_class: How many of each class.
    """

    videos: int
    sha256: str
    names_sha256: str | None = None
    sizes_sha256: str | None = None
    per_class: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """A dataset as it was listed, before few shots were chosen or a holdout was taken.

    Attributes:
        classes: Their names, in order.
        splits: "train", "test", and "holdout" where the dataset ships one.
    """

    classes: tuple[str, ...]
    splits: dict[str, ListedVideos]

    @staticmethod
    def of(plain: Mapping[str, Any]) -> DataIdentity:
        """Return what `asdict` made plain, also where JSON made lists of its tuples.

        Raises:
            KeyError: It lacks something.
            TypeError: It holds something else.
        """
        splits = {
            name: ListedVideos(**{**each, "per_class": _tuple(each["per_class"])})
            for name, each in plain["splits"].items()
        }
        return DataIdentity(classes=tuple(plain["classes"]), splits=splits)


def identify(data: DatasetInfo) -> DataIdentity:
    """Return which data `data` is; this reads its lists once, and no video."""
    splits = {name: _listed(split, len(data.classes)) for name, split in data.listed.items()}
    return DataIdentity(classes=tuple(data.classes), splits=splits)


def difference(old: DataIdentity, new: DataIdentity) -> str | None:
    """Return in words what of `new` is not as in `old`, None where both are the same data.

    What only one of them knows accuses nobody.
    """
    same_classes = old.classes == new.classes
    said = [] if same_classes else [_about_classes(old.classes, new.classes)]
    for name in (each for each in new.splits if each in old.splits):
        known, found = old.splits[name], new.splits[name]
        if same_classes or known.videos != found.videos:
            said.append(_about_videos(name, known, found, new.classes if same_classes else ()))
    return "; ".join(filter(None, said)) or None


def _listed(split: Split, classes: int) -> ListedVideos:
    names = hashlib.sha256()
    for name in split.names():
        names.update(f"{name}\n".encode())
    sizes = None
    if split.file_sizes is not None:
        sizes = hashlib.sha256(" ".join(map(str, split.file_sizes.tolist())).encode()).hexdigest()
    counts = Counter(split.labels.tolist())
    return ListedVideos(
        videos=len(split),
        sha256=split.sha256(),
        names_sha256=names.hexdigest(),
        sizes_sha256=sizes,
        per_class=tuple(counts[label] for label in range(classes)),
    )


def _about_classes(old: Sequence[str], new: Sequence[str]) -> str:
    fresh, gone = sorted({*new} - {*old}), sorted({*old} - {*new})
    if not fresh and not gone:
        moved = [name for name, other in zip(new, old, strict=True) if name != other]
        number, was = new.index(moved[0]), old.index(moved[0])
        return f"{len(moved)} classes have other numbers, such as {moved[0]!r}: {number}, was {was}"
    how = (
        f"{len(names)} {what}, such as {names[0]!r}"
        for names, what in ((fresh, "new"), (gone, "gone"))
        if names
    )
    return f"{len(new)} classes, {len(old)} before ({'; '.join(how)})"


def _about_videos(split: str, old: ListedVideos, new: ListedVideos, classes: Sequence[str]) -> str:
    """Return what is not the same of a split, or ""; `classes` are those of both, () if none."""

    def same(one: str | None, other: str | None) -> bool:
        return one is None or other is None or one == other

    number = f"{new.videos:,}"
    if old.videos != new.videos:
        said = f"{number} {split} videos, {old.videos:,} before"
    elif old.sha256 == new.sha256:
        if same(old.sizes_sha256, new.sizes_sha256):
            return ""
        return f"other files under the names of the {number} {split} videos"
    elif old.names_sha256 is not None and old.names_sha256 == new.names_sha256:
        said = f"other labels of the same {number} {split} videos"
    else:
        said = f"other {split} videos, or in another order, {number} as before"
    if not classes or old.per_class is None or new.per_class is None:
        return said
    changed = [
        (abs(now - was), name, now, was)
        for name, now, was in zip(classes, new.per_class, old.per_class, strict=True)
        if now != was
    ]
    if not changed:
        return said
    _, name, now, was = max(changed, key=lambda each: each[0])
    how = "1 class has more or fewer:"
    if len(changed) > 1:
        how = f"{len(changed)} classes have more or fewer, such as"
    return f"{said} ({how} {name!r}: {now}, was {was})"


def _tuple(numbers: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if numbers is None else tuple(numbers)
