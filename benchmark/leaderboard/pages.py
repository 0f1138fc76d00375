"""The leaderboard: a pure function of the records."""

import html
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.leaderboard.columns import chosen
from benchmark.leaderboard.tables import Row, order_blind_ceiling, tables
from benchmark.recipes.compose import changes
from benchmark.results import record
from benchmark.results.record import Record
from datamodules.files import atomic_write

PAGE = "README.md"
PICTURE = "accuracy.svg"
DIRTY = "†"
MIXED = "‡"
INTRODUCTION = """\
# Leaderboard

Written by `python -m benchmark leaderboard` from the records in this folder, never by hand.
"""
LEGEND = """\
**top-1**: accuracy in percent on the test split, read once, with the last weights; the mean over
seeds ± their sample standard deviation. **tunable**: parameters that train, the head included.
**GFLOPs**: multiply-accumulates of a view, in billions, × views of a video, which is what papers
call GFLOPs; *merged*: counted after the method's layers are merged into the frozen ones.
**training**: wall time of a run. `python -m benchmark leaderboard --all` prints every other column.
"""
BLIND = """\
What **{ceiling}** means here: a model that is blind to the order of frames cannot be right more
often. The test split holds every clip together with its frame-reversed twin, such a model answers
both alike, and only one of the two answers is right. Above it (the dashed line) a method sees time.
"""


def render(records: Iterable[Record]) -> dict[str, str]:
    """Return the board's files by name; the same records give the same bytes.

    Records that read held-out training clips instead of the test split are left out, and counted.
    """
    everything = list(records)
    board = {PAGE: _page(everything)}
    if found := tables(_tested(everything)):
        # it imports matplotlib: too slow for those who only read numbers
        from benchmark.leaderboard import plots

        board[PICTURE] = plots.draw(found)
    return board


def write() -> None:
    """Write the board of RESULTS."""
    _write(render(record.records()))


def refresh() -> None:
    """Write the board of RESULTS if the records say otherwise, one that is gone by its absence.

    The picture takes a second to draw, and shows what the page says: it is taken to be right while
    the page is and it is younger than the records, which may differ by less than the page's digits.
    """
    records, files = record.records(), record.files()
    page, picture = record.RESULTS / PAGE, record.RESULTS / PICTURE
    if not files and not page.exists():
        return
    newest = max((file.stat().st_mtime_ns for file in files), default=0)
    drawn = picture.exists() and picture.stat().st_mtime_ns > newest
    if not drawn or not _holds(page, _page(records)):
        _write(render(records))
        if picture.exists():
            os.utime(picture)  # drawn anew, though it may be the same, as after a checkout


def _write(board: dict[str, str]) -> None:
    """Write what differs, and remove a picture that nothing is left of."""
    for name, text in board.items():  # only now: a board that cannot be drawn stays as it was
        if not _holds(record.RESULTS / name, text):
            with atomic_write(record.RESULTS / name) as file:
                file.write(text.encode())
    if PICTURE not in board:
        (record.RESULTS / PICTURE).unlink(missing_ok=True)


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_bytes() == text.encode()


def _tested(records: Iterable[Record]) -> list[Record]:
    return [each for each in records if each.metrics.split == "test"]


def _page(everything: Sequence[Record]) -> str:
    tested = _tested(everything)
    found = tables(tested)
    if not found:
        return f"{INTRODUCTION}\nThere are no records yet: `make sweep` makes some.\n"
    parts = [INTRODUCTION, f"![top-1 accuracy against tunable parameters]({PICTURE})\n", LEGEND]
    for name, rows in found.items():
        parts.append(f"## {' · '.join(escape(part) for part in name.split('/'))}\n")
        ceiling = order_blind_ceiling(rows)
        if ceiling is not None:
            parts.append(BLIND.format(ceiling=f"{100 * ceiling:.0f} %"))
        parts += [_table(rows), *(f"{note}\n" for note in notes(rows))]
    if left := len(everything) - len(tested):
        parts.append(f"Left out: {_count(left, 'run')} scored on held-out training clips.\n")
    return "\n".join(parts)


def plain(records: Iterable[Record], *, every: bool = False) -> str:
    """Return the tables as aligned text, for a terminal: the default columns, or every one."""
    columns = chosen(every=every)
    header = [column.title for column in columns]
    blocks = []
    for name, rows in tables(records).items():
        lines = [header, *([column.text(row) for column in columns] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]).rstrip()
            for first, *rest in lines
        ]
        blocks.append("\n".join([name, *aligned]))
    return "\n\n".join(blocks)


def notes(rows: Sequence[Row]) -> list[str]:
    """Return what a reader must know before believing a table."""
    runs = [run for row in rows for run in row.records]
    devices = sorted({run.environment.device for run in runs})
    commits = [run.environment.commit[:10] for run in runs]
    splits = {run.data.splits["test"].sha256 for run in runs}
    found = [f"Trained on {'; '.join(map(escape, devices))}."]
    if min(row.top1.n for row in rows) == 1:
        found.append("One seed ranks nothing: differences of a point or two may be chance.")
    if len(set(commits)) > 1:
        each = (f"{_code(c)} ({_count(commits.count(c), 'run')})" for c in sorted(set(commits)))
        found.append(
            f"These runs come from {len(set(commits))} states of the code: {', '.join(each)}."
        )
    if len(splits) > 1:
        found.append(
            f"**Not one test split:** these runs were tested on {len(splits)} lists of videos."
        )
    if any(_dirty(row) for row in rows):
        found.append(f"{DIRTY} The code had changes that were not committed.")
    if any(_mixed(row) for row in rows):
        found.append(f"{MIXED} The recipe changed between the seeds of this row.")
    return found


def escape(text: str) -> str:
    """Return text of unknown origin for a Markdown page: it stays text, on one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)


def _code(text: str) -> str:
    """Return a name as a code span, safe in a table."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"


def _table(rows: Sequence[Row]) -> str:
    columns = chosen()
    header = [column.title for column in columns]
    lines = [" | ".join(header), " | ".join(["---", *["--:"] * (len(header) - 1)])]
    for row in rows:
        marks = f"{DIRTY if _dirty(row) else ''}{MIXED if _mixed(row) else ''}"
        method, *numbers = (column.text(row) for column in columns)
        lines.append(" | ".join([f"{_code(method)}{marks}", *map(escape, numbers)]))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _dirty(row: Row) -> bool:
    return any(run.environment.dirty for run in row.records)


def _mixed(row: Row) -> bool:
    first, *others = row.records
    return any(changes(first.recipe, run.recipe).keys() - {"seed"} for run in others)
