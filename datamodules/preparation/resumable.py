"""Do one thing to every file of a long list: in parallel, and going on where it was stopped.

What comes of a file is a row, a line of JSON in a log. Typed again, only files that have no row, or
have changed since, are done. A file that takes its worker's life or never ends is noted as such.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.decoding.video import DecodeError
from datamodules.errors import UserError
from datamodules.files import NO_ROOM, atomic_write, exclusive, file_state, why_unwritten
from datamodules.preparation.workers import map_in_processes
from datamodules.progress_bar import ProgressBar

# "name"; "size" in bytes and "changed" in ns, null where there is no file; "problem", null where
# there is none; "again", true where the next walk is to try again; and what the work has found out.
Row = dict[str, Any]
PATIENCE = 120.0  # seconds for one file
FINE = b'"problem": null'  # in the line of every fine row and, as quotes are escaped, in no other


def for_each_file(
    root: str | Path,
    names: Iterable[str],
    log: Path,
    work: Callable[[str], Mapping[str, Any]],
    *,
    title: str,
    workers: int,
    patience: float = PATIENCE,
    holds: Callable[[Row], bool] = lambda row: True,
) -> dict[str, Row]:
    """Do `work` to the files that have no row in `log` yet.

    Args:
        root: Folder of the files.
        names: Their paths relative to it.
        log: Where rows are kept, of these and of other files.
        work: What is done to a file, by its name; it can be imported by name, for processes. What
            it raises is the file's problem.
        title: What progress is told under.
        workers: Processes.
        patience: Seconds after which work on one file is given up.
        holds: Whether a row of a file that is as it was still holds.

    Returns:
        A row for every name, in the order of `names`.

    Raises:
        UserError: Another process works on the same log, or nothing more can be written.
    """
    wanted = dict.fromkeys(names)
    with exclusive(log):
        rows = {row["name"]: row for row in read(log)}
        for name in wanted.keys() & rows.keys():
            row = rows[name]
            same = (row["size"], row["changed"]) == file_state(root, name)
            if not same or row.get("again") or not holds(row):
                del rows[name]
        try:
            write(log, rows.values())  # without those, and without a line torn by a kill
        except OSError as error:
            raise no_room(log, error) from None
        todo = [name for name in wanted if name not in rows]
        task = _Task(str(root), work)
        with log.open("ab", buffering=0) as file, ProgressBar(title, len(todo)) as told:
            done = map_in_processes(task, todo, workers=min(workers, len(todo)), patience=patience)
            for name, found, death in done:
                if isinstance(found, OSError):
                    raise no_room(log, found)
                row = rows[name] = task.row(name, death) if found is None else found
                try:
                    file.write(_line(row))  # at once: what is done survives a kill
                except OSError as error:
                    raise no_room(log, error) from None
                told.advance(broken=row["problem"] is not None)
    return {name: rows[name] for name in wanted}


def read(log: Path, *, broken: bool = False) -> Iterator[Row]:
    """Yield the rows of a log, or only the `broken` ones; without a log there are none."""
    try:
        with log.open("rb") as file:
            for line in file:
                if broken and FINE in line:
                    continue
                try:
                    yield json.loads(line, object_pairs_hook=_shared)
                except ValueError:  # torn by a kill
                    continue
    except FileNotFoundError:
        return


def write(log: Path, rows: Iterable[Row]) -> None:
    """Write a log anew, whole or not at all."""
    with atomic_write(log) as file:
        file.writelines(map(_line, rows))


@dataclass(frozen=True)
class _Task:
    """What a worker does to a file, and the row that it makes of it."""

    root: str
    work: Callable[[str], Mapping[str, Any]]

    def __call__(self, name: str) -> Row | OSError:
        """Return the row of a file, or why there is no room for what comes of it."""
        seen = self.row(name, None)  # before the work: what changes meanwhile is to be seen again
        try:
            return {**seen, **self.work(name)}
        except DecodeError as error:
            path = os.path.join(self.root, name)
            return {**seen, "problem": str(error).removeprefix(f"{path}: ")}
        except Exception as error:  # of the machine rather than of the file
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                return OSError(error.errno, os.strerror(error.errno))
            return {**seen, "problem": f"{type(error).__name__}: {error}", "again": True}

    def row(self, name: str, problem: str | None) -> Row:
        size, changed = file_state(self.root, name)
        return {"name": name, "size": size, "changed": changed, "problem": problem}


def no_room(log: Path, error: OSError) -> UserError:
    """Return what to say where nothing more can be written beside a log."""
    return UserError(
        f"{log.parent}: {why_unwritten(error, log)}: nothing more can be written; what is done is "
        "kept, make room and type the same again"
    )


def _line(row: Row) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _shared(pairs: Sequence[tuple[str, Any]]) -> Row:
    """Return a row whose keys are the same objects as all others': a million rows have them."""
    return {sys.intern(key): value for key, value in pairs}
