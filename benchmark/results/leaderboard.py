"""The leaderboard: a pure function of the records."""

import html
import re
from collections.abc import Iterable, Sequence

from benchmark.recipes.compose import changes
from benchmark.results import record
from benchmark.results.record import Record
from benchmark.results.statistics import Summary
from benchmark.results.tables import Row, order_blind_ceiling, tables
from datamodules.files import atomic_write
from datamodules.progress_bar import format_duration

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
**total**: parameters of the model that is tested. **GFLOPs**: multiply-accumulates of a view, in
billions, × views of a video, which is what papers call GFLOPs; *merged*: counted after the method's
layers are merged into the frozen ones. **training**: wall time of a run.
"""
BLIND = """\
What **{ceiling}** means here: a model that is blind to the order of frames cannot be right more
often. The test split holds every clip together with its frame-reversed twin, such a model answers
both alike, and only one of the two answers is right. Above it (the dashed line) a method sees time.
"""
HEADER = ("method", "top-1 %", "seeds", "tunable", "total", "GFLOPs", "training")


def render(records: Iterable[Record]) -> dict[str, str]:
    """Return the board's files by name; the same records give the same bytes.

    Records that read held-out training clips instead of the test split are left out, and counted.
    """
    everything = list(records)
    tested = [each for each in everything if each.metrics.get("split", "test") == "test"]
    found = tables(tested)
    if not found:
        return {PAGE: f"{INTRODUCTION}\nThere are no records yet: `make sweep` makes some.\n"}
    parts = [INTRODUCTION, f"![top-1 accuracy against tunable parameters]({PICTURE})\n", LEGEND]
    for name, rows in found.items():
        parts.append(f"## {' · '.join(escape(part) for part in name.split('/'))}\n")
        ceiling = order_blind_ceiling(rows)
        if ceiling is not None:
            parts.append(BLIND.format(ceiling=f"{100 * ceiling:.0f} %"))
        parts += [_table(rows), *(f"{note}\n" for note in notes(rows))]
    if left := len(everything) - len(tested):
        parts.append(f"Left out: {_count(left, 'run')} scored on held-out training clips.\n")
    from benchmark.results import (
        plots,  # imports matplotlib: too slow for those who only read numbers
    )

    return {PAGE: "\n".join(parts), PICTURE: plots.draw(found)}


def write() -> None:
    """Write the board of RESULTS."""
    board = render(record.records())
    for name, text in board.items():  # only now: a board that cannot be drawn stays as it was
        with atomic_write(record.RESULTS / name) as file:
            file.write(text.encode())


def refresh() -> None:
    """Write the board of RESULTS if it is missing or a record is newer."""
    page = record.RESULTS / PAGE
    newest = max((file.stat().st_mtime for file in record.files()), default=0.0)
    if newest and (not page.exists() or page.stat().st_mtime <= newest):
        write()


def plain(records: Iterable[Record]) -> str:
    """Return the tables as aligned text, for a terminal."""
    blocks = []
    for name, rows in tables(records).items():
        lines = [HEADER, *((row.method, *_cells(row)) for row in rows)]
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
    devices = sorted({str(run.environment.get("device", "unknown")) for run in runs})
    commits = [str(run.environment.get("commit", "unknown"))[:10] for run in runs]
    splits = {str(run.data.get("splits", {}).get("test", {}).get("sha256")) for run in runs}
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
    lines = [" | ".join(HEADER), " | ".join(["---", *["--:"] * (len(HEADER) - 1)])]
    for row in rows:
        marks = f"{DIRTY if _dirty(row) else ''}{MIXED if _mixed(row) else ''}"
        lines.append(" | ".join([f"{_code(row.method)}{marks}", *_cells(row)]))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cells(row: Row) -> list[str]:
    """Return a row's numbers, in the order of HEADER."""
    macs, seconds = row.cost("macs_per_view"), row.cost("train_seconds")
    views = f" × {row.cost('views') or 1:.0f}"
    merged = " merged" if all(run.cost.get("merged") for run in row.records) else ""
    return [
        _accuracy(row.top1),
        str(row.top1.n),
        _parameters(row.cost("trained_parameters")),
        _parameters(row.cost("total_parameters")),
        "-" if macs is None else f"{_billions(macs)}{views}{merged}",
        "-" if seconds is None else format_duration(seconds),
    ]


def _accuracy(top1: Summary) -> str:
    spread = "" if top1.sd is None else f" ± {100 * top1.sd:.1f}"
    return f"{100 * top1.mean:.1f}{spread}"


def _parameters(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"


def _billions(number: float) -> str:
    """Return one decimal, and of small numbers three digits."""
    return f"{number / 1e9:.1f}" if number >= 1e10 else f"{number / 1e9:#.3g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _dirty(row: Row) -> bool:
    return any(run.environment.get("dirty", True) for run in row.records)


def _mixed(row: Row) -> bool:
    first, *others = row.records
    return any(changes(first.recipe, run.recipe).keys() - {"seed"} for run in others)
