"""Read the files that datasets are published with: CSV, lines, JSON, a column at a time.

A row is not kept as such: what is wanted of it is appended to columns as it is read, so that a
million rows take seconds. Whatever is wrong is told in one line that names the file and the line.
"""

import csv
import itertools
import json
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from datamodules.errors import UserError, nearest

Kinds = Mapping[str, Callable[[str], Any]]  # column -> what makes a value of its text
PAIR: Kinds = {"path": str, "label": sys.intern}  # few labels, many rows: each is kept once
HEADER = {  # what the columns of a pair are called, the best names first
    "path": (
        *("path", "video_path", "file_path", "filepath", "filename", "file_name", "file"),
        *("video", "video_name", "video_id", "clip", "name", "id"),
    ),
    "label": (
        *("label", "class", "category", "action", "target", "label_name", "class_name"),
        *("label_id", "class_id"),
    ),
}


@dataclass(frozen=True)
class Listed:
    """Columns of a file, and where their rows stand in it."""

    file: Path
    columns: list[list[Any]]
    lines: "array[int] | None" = None  # from 1; None: the rows are the entries of a JSON list

    def __len__(self) -> int:
        return len(self.columns[0])

    def place(self, row: int) -> str:
        """Return where a row stands: the file, and the line or the entry."""
        if self.lines is None:
            return f"{self.file}: entry {row + 1}"
        return f"{self.file}:{self.lines[row]}"

    def wrong(self, row: int, problem: str) -> UserError:
        """Return the error that says what is wrong with a row."""
        return UserError(f"{self.place(row)}: {problem}")


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """Open a text file, its line ends as they are; what goes wrong with it is a UserError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: it is no UTF-8 text") from None


def numbered(file: Path) -> Iterator[tuple[int, str]]:
    """Yield a file's lines, stripped, with their numbers; empty ones are left out.

    Raises:
        UserError: It cannot be read, or is no text.
    """
    with _opened(file) as stream:
        for number, line in enumerate(stream, 1):
            if text := line.strip():
                yield number, text


def first(file: Path) -> str:
    """Return the first line of a file that is not empty; "" if there is none."""
    return next((text for _, text in numbered(file)), "")


def lines(file: Path) -> Listed:
    """Return a file's lines, stripped, without empty ones, as the one column there is."""
    found = Listed(file, [[]], array("q"))
    assert found.lines is not None
    for number, text in numbered(file):
        found.lines.append(number)
        found.columns[0].append(text)
    return found


def columns(file: Path, kinds: Kinds, *, delimiter: str = ",", header: bool = True) -> Listed:
    """Return columns of a CSV file: those of these names or, without a header, the first ones.

    Raises:
        UserError: There is no such column or no row, or a row lacks a value or holds one that its
            kind refuses.
    """
    rows = _rows(file, delimiter)
    places = list(range(len(kinds)))
    if header:
        there = [name.strip().lower() for name in next(rows, (0, []))[1]]
        if absent := [name for name in kinds if name not in there]:
            raise UserError(f"{file}: no column {absent[0]!r}{nearest(absent[0], there)}")
        places = [there.index(name) for name in kinds]
    return _collected(file, rows, kinds, places)


def pairs(file: Path) -> Listed:
    """Return the paths and the labels that a list holds.

    A .csv file with a comma or semicolon in its first line is one; a file with a tab there has a
    tab between any two columns. Of both the first line may name the columns (`HEADER`, such as
    `path` and `label`); else the first two are meant. In any other file a line is a path, spaces
    and a label, as published lists are; a .csv file may be such a list, too.

    Raises:
        UserError: A line is no such pair, or there is none.
    """
    start = first(file)
    delimiter = next((each for each in ",;" if each in start), None)
    rows: Iterator[tuple[int, list[str]]]
    if re.search(r"[^\s,;]\t+[^\s,;]", start):
        between = r"\t+" if len(start.split("\t")) - start.count("\t\t") == 2 else r"\t"
        rows = ((number, re.split(between, text)) for number, text in numbered(file))
    elif file.suffix.lower() == ".csv" and delimiter is not None:
        rows = _rows(file, delimiter)
    else:
        rows = ((number, text.rsplit(None, 1)) for number, text in numbered(file))
    begin = next(rows, (0, []))
    places = _named(begin[1])
    if places is None and begin[0]:
        rows = itertools.chain([begin], rows)
    found = _collected(file, rows, PAIR, places or [0, 1])
    for column in found.columns:
        if (
            row := next((row for row, each in enumerate(column) if "\t" in each), None)
        ) is not None:
            raise found.wrong(row, f"{column[row]!r} holds a tab, which the first line has not")
    return found


def _named(names: Sequence[str]) -> list[int] | None:
    """Return where in a first line the columns of `PAIR` are; None: it names no columns."""
    there = [name.strip().strip('"').lower().replace(" ", "_") for name in names]
    known = [next((name for name in HEADER[key] if name in there), None) for key in PAIR]
    return None if None in known else [there.index(name) for name in known if name]


def _rows(file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file with the lines where they start; empty ones are left out."""
    begin = 1
    with _opened(file) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    yield begin, row
                begin = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{file}:{begin}: {error}") from None


def _collected(
    file: Path, rows: Iterable[tuple[int, list[str]]], kinds: Kinds, places: list[int]
) -> Listed:
    found = Listed(file, [[] for _ in kinds], array("q"))
    assert found.lines is not None
    taken = [
        (name, kind, place, column.append)
        for (name, kind), place, column in zip(kinds.items(), places, found.columns, strict=True)
    ]
    for number, row in rows:
        found.lines.append(number)
        for name, kind, place, append in taken:
            text = row[place].strip() if place < len(row) else ""
            if not text:
                raise found.wrong(-1, f"{' '.join(row).strip()!r} has no {name}")
            try:
                append(kind(text))
            except (ValueError, OverflowError):
                raise found.wrong(-1, f"{text!r} is no {name}") from None
    if not len(found):
        raise UserError(f"{file}: there is no row in it")
    return found


def parse(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        UserError: It is not JSON; the line is named.
    """
    with _opened(file) as stream:
        try:
            return json.load(stream)
        except json.JSONDecodeError as error:
            raise UserError(f"{file}:{error.lineno}: {error.msg}") from None


def members(file: Path, *keys: str) -> Listed:
    """Return the values of `keys` in a JSON file that holds a list of objects, as text.

    Raises:
        UserError: It holds something else; the entry is named.
    """
    entries = parse(file)
    if not isinstance(entries, list):
        raise UserError(f"{file}: it is no list of objects")
    found = Listed(file, [[] for _ in keys])
    for row, entry in enumerate(entries):
        for key, column in zip(keys, found.columns, strict=True):
            if not isinstance(entry, dict) or key not in entry:
                raise found.wrong(row, f"it has no {key!r}")
            column.append(str(entry[key]))
    return found
