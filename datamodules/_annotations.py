"""What the files of datasets share: where they lie, how they are read, what they must hold.

Whatever is wrong with a file is told in one line that names it. No video is opened here.
"""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark import record
from benchmark.errors import UserError, nearest
from datamodules._data import Data, Split

LOOKED_AT = 16  # videos of a split, the first ones, that are looked for: one of them must exist

Labels = NDArray[np.int64]
Listing = tuple[Sequence[str], Labels]  # paths relative to the root, and class numbers


def folder(name: str, root: str | Path | None, holds: str) -> Path:
    """Return the folder of a dataset: `root`, or `data/<name>` in the folder that runs work in.

    Raises:
        UserError: There is none; `holds` says what should be in it.
    """
    place = record.RUNS / "data" / name if root is None else Path(root).expanduser()
    if not place.is_dir():
        where = f"data.root=DIR says where {name} is" if root is None else f"{name} was to be there"
        raise UserError(f"no folder {place}: {where}, with {holds}")
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


def read(file: Path) -> str:
    """Return a file's text.

    Raises:
        UserError: It cannot be read, or is no text.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: it is no UTF-8 text") from None


def lines(file: Path) -> list[str]:
    """Return a file's lines without their ends and without empty ones."""
    return [line for each in read(file).split("\n") if (line := each.strip())]


def parse(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        UserError: It is not JSON; the line is named.
    """
    try:
        return json.loads(read(file))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: {error.msg}") from None


def members(file: Path, *keys: str) -> list[list[str]]:
    """Return the values of `keys` in a JSON file that holds a list of objects: a column per key.

    Raises:
        UserError: It holds something else.
    """
    objects = parse(file)
    try:
        return [[str(each[key]) for each in objects] for key in keys]
    except (TypeError, KeyError, IndexError):
        wanted = " and ".join(map(repr, keys))
        raise UserError(f"{file}: it is no list of objects that have {wanted}") from None


def table(file: Path, delimiter: str = ",") -> list[list[str]]:
    """Return the rows of a CSV file, without empty ones.

    Raises:
        UserError: A row has fewer columns than the first.
    """
    return _rows(file, lines(file), delimiter)


def _rows(file: Path, listed: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        rows = list(csv.reader(listed, delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"{file}: {error}") from None
    for number, row in enumerate(rows, 1):
        if len(row) < len(rows[0]):
            raise UserError(f"{file}: row {number} has {len(row)} columns, not {len(rows[0])}")
    return rows


def columns(file: Path, rows: Sequence[Sequence[str]], *names: str) -> list[list[str]]:
    """Return the columns `names` of a table whose first row names them.

    Raises:
        UserError: It has no such column.
    """
    header = [each.strip() for each in rows[0]] if rows else []
    if absent := [name for name in names if name not in header]:
        raise UserError(f"{file}: no column {absent[0]!r}{nearest(absent[0], header)}")
    places = [header.index(name) for name in names]
    return [[row[place].strip() for row in rows[1:]] for place in places]


def pairs(file: Path) -> tuple[list[str], list[str]]:
    """Return the paths and labels that a list holds.

    A .csv file with a comma or semicolon in its first line is one: its columns `path` and `label`,
    or its first two if they have no such names. In any other file a line is a path, spaces and a
    label, as published lists are; a .csv file may be such a list, too.

    Raises:
        UserError: A line is no such pair, or there is none.
    """
    listed = lines(file)
    if not listed:
        raise UserError(f"{file}: it is empty")
    delimiter = next((each for each in ",;" if each in listed[0]), None)
    if file.suffix.lower() == ".csv" and delimiter:
        rows = _rows(file, listed, delimiter)
        header = [each.strip().lower() for each in rows[0]]
        if {"path", "label"} <= set(header):
            path, label = columns(file, [header, *rows[1:]], "path", "label")
            return path, label
        if len(header) < 2:
            raise UserError(f"{file}: it has one column, not a path and a label")
        return [row[0].strip() for row in rows], [row[1].strip() for row in rows]
    split = [line.rsplit(None, 1) for line in listed]
    if short := [pair[0] for pair in split if len(pair) < 2]:
        raise UserError(f"{file}: {short[0]!r} is no path and label")
    return [pair[0] for pair in split], [pair[1] for pair in split]


def classes(file: Path) -> tuple[str, ...]:
    """Return the class names in a file: one per line in order, or JSON, a list or name: number.

    Raises:
        UserError: It holds something else, or a name twice.
    """
    if file.suffix.lower() == ".json":
        found = parse(file)
        if isinstance(found, Mapping):
            return ordered(file, found)
        if not isinstance(found, Sequence) or isinstance(found, str):
            raise UserError(f"{file}: it is neither a list of names nor names with numbers")
        names = tuple(map(str, found))
    else:
        names = tuple(lines(file))
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{file}: class {min(twice)!r} stands in it twice")
    return names


def counted(file: Path) -> tuple[str, ...]:
    """Return the class names in a file whose lines are a number, from 1, and a name.

    Raises:
        UserError: A line is not.
    """
    rows = [line.split(None, 1) for line in lines(file)]
    if wrong := [row for row in rows if len(row) < 2 or not row[0].isdigit()]:
        raise UserError(f"{file}: {' '.join(wrong[0])!r} is no number and class")
    return ordered(file, {name: int(number) - 1 for number, name in rows})


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


def numbers(file: Path, labels: Sequence[str], names: Sequence[str]) -> Labels:
    """Return the class numbers of `labels`, each of which is one of `names`, or a number.

    Raises:
        UserError: One is neither.
    """
    known = {str(number): number for number in range(len(names))}
    known |= {name: number for number, name in enumerate(names)}  # a name that is a number wins
    try:
        return np.fromiter((known[label] for label in labels), np.int64, len(labels))
    except KeyError as error:
        label = str(error.args[0])
        if label.lstrip("-").isdigit():
            raise UserError(f"{file}: no class {label}, there are 0 to {len(names) - 1}") from None
        raise UserError(f"{file}: no class {label!r}{nearest(label, names)}") from None


def named(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the classes that `labels` speak of: sorted names, or all numbers up to the largest."""
    found = set(labels)
    if all(label.isdigit() for label in found):
        return tuple(map(str, range(1 + max(map(int, found), default=-1))))
    return tuple(sorted(found))


def located(pattern: str, **fields: Sequence[object]) -> list[str]:
    """Return a path per video: `pattern` with its {fields} filled in.

    Raises:
        UserError: It has other fields.
    """
    try:
        return [
            pattern.format(**dict(zip(fields, row, strict=True)))
            for row in zip(*fields.values(), strict=True)
        ]
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
    known: Sequence[tuple[int, int]] = (),
    sizes: str = "any",
    count: int | None = None,
    shots: int | None = None,
    shots_seed: int = 0,
) -> Data:
    """Return a dataset, after a look at whether it is what it says.

    Args:
        name: Of the dataset.
        names: Of its classes.
        listings: "train" and "test".
        root: Where the videos lie.
        flip: "ok", or "never" where a horizontal flip changes a label.
        known: The sizes of train and test, of each copy that is known.
        sizes: "known", or "any" to take the splits as they are.
        count: How many classes there must be.
        shots: Training videos per class; None is all.
        shots_seed: Chooses them.

    Raises:
        UserError: Classes, sizes or videos are not as they should be.
    """
    if count is not None and len(names) != count:
        raise UserError(f"{name}: there are {len(names)} classes in {root}, not {count}")
    found = (len(listings["train"][0]), len(listings["test"][0]))
    if sizes == "known" and found not in known:
        listed, *expected = (f"{train:,} and {test:,}" for train, test in (found, *known))
        raise UserError(
            f"{name}: {listed} videos of train and test are listed in {root}, "
            f"not {' or '.join(expected)}; data.sizes=any takes them as they are"
        )
    splits = {}
    for split, (paths, labels) in listings.items():
        if not paths:
            raise UserError(f"{name}: there is no {split} video in {root}")
        first = [root / path for path in paths[:LOOKED_AT]]
        if not any(map(os.path.exists, first)):
            raise UserError(
                f"{name}: the first videos of {split} are not there, such as {first[0]}; "
                "data.root, or data.videos where there is one, says where they lie"
            )
        try:
            splits[split] = Split.of(paths, labels, root)
        except UnicodeEncodeError as error:
            raise UserError(f"{name}: the path {error.object!r} is no UTF-8 text") from None
    if shots is not None:
        splits["train"] = few(splits["train"], shots, shots_seed, names)
    return Data(name, tuple(names), splits, flip=flip)


def few(split: Split, shots: int, seed: int, names: Sequence[str]) -> Split:
    """Return `shots` videos of every class, in the order of the list.

    Which ones is a function of `seed`, the class's number and the list. Fewer shots of the same
    seed are some of these.

    Raises:
        UserError: `shots` is less than 1, or more than a class has.
    """
    if shots < 1:
        raise UserError(f"data.shots must be at least 1, not {shots}")
    order = np.argsort(split.labels, kind="stable")
    bounds = np.searchsorted(split.labels[order], np.arange(len(names) + 1))
    chosen = []
    for label, name in enumerate(names):
        own = order[bounds[label] : bounds[label + 1]]
        if len(own) < shots:
            raise UserError(f"data.shots={shots}, but class {name!r} has {len(own)} videos")
        chosen.append(np.random.default_rng([seed, label]).permutation(own)[:shots])
    return split.select(np.sort(np.concatenate(chosen)))
