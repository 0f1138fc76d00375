"""What datasets share: where their files lie, what classes and paths are, what must be there.

Whatever is wrong is told in one line that names the file. No video is opened here.
"""

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.datasets import _subsets as subsets
from datamodules.datasets import _tables as tables
from datamodules.datasets._tables import Listed
from datamodules.errors import UserError, nearest
from datamodules.shards.index import demand_whole
from datamodules.shards.paths import exists

LOOKED_AT = 16  # videos of a split, the first ones, that are looked for: one of them must exist
MOST = 100_000  # classes: a larger number is no class number

Labels = NDArray[np.int64]


class Listing(NamedTuple):
    """The videos of a split: paths relative to the root, class numbers, and what is odd in it."""

    paths: Sequence[str]
    labels: Labels
    warnings: tuple[str, ...] = ()


class Options(TypedDict, total=False):
    """What every published dataset may be told besides what is its own.

    Attributes:
        sizes: "known" refuses splits of other sizes than are known; "any" takes what is listed.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.
        fraction: Of every class's training videos, so many are taken; None is all.
        fraction_seed: Chooses them.
    """

    sizes: Literal["known", "any"]
    shots: int | None
    shots_seed: int
    fraction: float | None
    fraction_seed: int


def folder(name: str, root: str | Path | None, holds: str) -> Path:
    """Return the folder of a dataset: `root`, or `data/<name>` in the folder that runs work in.

    Raises:
        UserError: There is none; `holds` says what should be in it. Or it holds shards that are not
            whole.
    """
    place = files.RUNS / "data" / name if root is None else Path(os.path.expanduser(root))
    if not place.is_dir():
        where = f"data.root=DIR says where {name} is" if root is None else f"{name} was to be there"
        raise UserError(f"no folder {place}: {where}, with {holds}")
    demand_whole(str(place))
    return place


def find(root: Path, *names: str) -> Path:
    """Return the first of `names` that is a file in `root`, its `annotations` or its `labels`.

    Raises:
        UserError: None of them is.
    """
    for name in names:
        for place in (root / name, root / "annotations" / name, root / "labels" / name):
            if place.is_file():
                return place
    options = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    raise UserError(f"no {options} in {root}, its annotations or its labels")


def classes(file: Path) -> tuple[str, ...]:
    """Return the class names in a file: one per line in order, or JSON, a list or name: number.

    Raises:
        UserError: It holds something else, or a name twice.
    """
    if file.suffix.lower() == ".json":
        found = tables.parse(file)
        if isinstance(found, Mapping):
            return ordered(file, found)
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise UserError(f"{file}: it is neither a list of names nor names with numbers")
        names = tuple(map(str, found))
    else:
        names = tuple(tables.lines(file).columns[0])
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{file}: class {min(twice)!r} stands in it twice")
    return names


def ordered(file: Path, numbers: Mapping[str, Any]) -> tuple[str, ...]:
    """Return class names in the order of their numbers, which start at 0.

    Raises:
        UserError: They do not, or leave one out.
    """
    try:
        places = {int(number): name for name, number in numbers.items()}
    except (TypeError, ValueError):
        raise UserError(f"{file}: a class has no whole number") from None
    if sorted(places) != list(range(len(numbers))):
        raise UserError(f"{file}: its {len(numbers)} classes are not numbered 0, 1, 2, ...")
    return tuple(places[number] for number in range(len(places)))


def numbers(listed: Listed, labels: Sequence[str], names: Sequence[str]) -> Labels:
    """Return the class numbers of `labels`, each of which is one of `names`, or a number.

    Raises:
        UserError: One is neither; its place in the file is named.
    """
    known = {str(number): number for number in range(len(names))}
    known |= {name: number for number, name in enumerate(names)}  # a name that is a number wins
    try:
        return np.fromiter((known[label] for label in labels), np.int64, len(labels))
    except KeyError as error:
        label = str(error.args[0])
        problem = f"no class {label!r}{nearest(label, names)}"
        if label.lstrip("-").isdigit():
            problem = f"no class {label}, there are 0 to {len(names) - 1}"
        raise listed.wrong(labels.index(label), problem) from None


def listing(
    listed: Listed,
    paths: Sequence[str],
    labels: Sequence[str],
    names: Sequence[str],
    ids: Sequence[Hashable] | None = None,
) -> Listing:
    """Return the videos of a list: what stands in it twice is told, and must have one label.

    Args:
        listed: The list.
        paths: Where its videos lie, relative to the root.
        labels: Each of `names`, or a number.
        names: Of the classes.
        ids: What tells videos apart; None: where they lie.

    Raises:
        UserError: A label is no class, or a video has two labels.
    """
    own = numbers(listed, labels, names)
    seen: dict[Hashable, int] = {}
    again: list[int] = []
    for row, key in enumerate(_normal(paths) if ids is None else ids):
        before = seen.setdefault(key, row)
        if before == row:
            continue
        if own[before] != own[row]:
            other, here = names[own[before]], names[own[row]]
            there = listed.place(before)
            raise listed.wrong(row, f"{paths[row]} is {here!r} here, but {other!r} at {there}")
        again.append(row)
    if not again:
        return Listing(paths, own)
    said = f"{len(again):,} of its {len(paths):,} rows repeat an earlier one"
    return Listing(paths, own, (f"{listed.place(again[0])}: {paths[again[0]]} again; {said}",))


def _normal(paths: Iterable[str]) -> Iterator[str]:
    """Yield paths so that those of one file are one text, as far as text can tell."""
    for path in paths:
        yield os.path.normpath(path) if "./" in path or "//" in path else path


def named(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the classes that `labels` speak of: sorted names, or all numbers up to the largest.

    What is written as no number is ("007"), or is larger than classes are many, is a name.
    """
    found = set(labels)
    if all(label.isdecimal() and label == str(int(label)) for label in found):
        largest = max(map(int, found), default=-1)
        if largest < MOST:
            return tuple(map(str, range(1 + largest)))
    return tuple(sorted(found))


def located(pattern: str, **fields: Sequence[object]) -> Sequence[str]:
    """Return a path per video: `pattern` with its {fields} filled in.

    Raises:
        UserError: It has other fields.
    """
    try:
        rows = zip(*fields.values(), strict=True)
        return [pattern.format(**dict(zip(fields, row, strict=True))) for row in rows]
    except (LookupError, AttributeError, ValueError) as error:
        if isinstance(error, ValueError) and "zip()" in str(error):
            raise
        known = ", ".join(f"{{{name}}}" for name in fields)
        raise UserError(f"data.videos is {pattern!r}, but its fields are {known}") from None


def assemble(
    name: str,
    names: Sequence[str],
    listings: Mapping[str, Listing],
    *,
    root: Path,
    flip: str,
    swaps: tuple[tuple[int, int], ...] = (),
    segments: Mapping[str, NDArray[np.float64]] | None = None,
    file_sizes: Mapping[str, NDArray[np.int64]] | None = None,
    clusters: Mapping[str, Sequence[str]] | None = None,
    known: Sequence[tuple[int, int]] = (),
    count: int | None = None,
    sizes: Literal["known", "any"] = "known",
    shots: int | None = None,
    shots_seed: int = 0,
    fraction: float | None = None,
    fraction_seed: int = 0,
) -> DatasetInfo:
    """Return a dataset, after a look at whether it is what it says.

    Args:
        name: Of the dataset.
        names: Of its classes.
        listings: "train" and "test".
        root: Where the videos lie.
        flip: As in `Data`.
        swaps: As in `Data`.
        segments: Per split, (N, 2), which part of every video is meant; None is all of it.
        file_sizes: Per split, (N,), bytes, where the lists were made of the files themselves.
        clusters: Per split, (N,), the source of every video; None: each is its own.
        known: The sizes of train and test, of each copy that is known; none: there are none.
        count: How many classes there must be.
        sizes: As in `Options`.
        shots: As in `Options`.
        shots_seed: As in `Options`.
        fraction: As in `Options`.
        fraction_seed: As in `Options`.

    Raises:
        UserError: Classes, sizes or videos are not as they should be.
    """
    found = (len(listings["train"].paths), len(listings["test"].paths))
    if known and sizes == "known" and found not in known:
        listed, *expected = (f"{train:,} and {test:,}" for train, test in (found, *known))
        raise UserError(
            f"{name}: {listed} videos of train and test are listed in {root}, "
            f"not {' or '.join(expected)}; data.sizes=any takes them as they are"
        )
    if count is not None and len(names) != count:
        raise UserError(f"{name}: there are {len(names)} classes in {root}, not {count}")
    every: dict[str, Split] = {}
    for split, (paths, labels, _) in listings.items():
        _look(name, split, root, paths[:LOOKED_AT])
        parts = None if segments is None else segments[split]
        sources = None if clusters is None else clusters[split]
        try:
            own_sizes = None if file_sizes is None else file_sizes[split]
            every[split] = Split.of(paths, labels, root, parts, own_sizes, sources)
        except UnicodeEncodeError as error:
            raise UserError(f"{name}: the path {error.object!r} is no UTF-8 text") from None
    splits, chosen = dict(every), None
    if shots is not None and fraction is not None:
        raise UserError(f"data.shots={shots} and data.fraction={fraction}: set one of them")
    if shots is not None:
        chosen = subsets.few(splits["train"], shots, shots_seed, tuple(names))
    elif fraction is not None:
        chosen = subsets.part(splits["train"], fraction, fraction_seed, len(names))
    if chosen is not None:
        splits["train"] = splits["train"].select(chosen)
    warnings = tuple(each for listed in listings.values() for each in listed.warnings)
    return DatasetInfo(
        name,
        tuple(names),
        splits,
        flip=flip,
        swaps=swaps,
        chosen=chosen,
        warnings=warnings,
        listed=every,
    )


def _look(name: str, split: str, root: Path, paths: Sequence[str]) -> None:
    if not paths:
        raise UserError(f"{name}: there is no {split} video in {root}")
    first = [root / path for path in paths]
    demand_whole(str(first[0]))
    if not any(map(exists, first)):
        raise UserError(
            f"{name}: the first videos of {split} are not there, such as {first[0]}; "
            "data.root, or data.videos where there is one, says where they lie"
        )
