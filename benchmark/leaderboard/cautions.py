"""What makes a number less than it seems: a mark at its row, and a line under the table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.tables import Row
from benchmark.results.record import Record


@dataclass(frozen=True)
class Caution:
    """Something to know of a run before believing it.

    Attributes:
        mark: Stands at the row.
        count: Of how many videos it is true; 0: it is not true of a run.
        line: What it says of the run of which it is true of most videos.
    """

    mark: str
    count: Callable[[Record], int]
    line: Callable[[Record], str]


def _shared(run: Record) -> int:
    return max(run.data.shared or 0, run.data.shared_content or 0)


def _shared_line(run: Record) -> str:
    known = "by content" if (run.data.shared or 0) < _shared(run) else "the same files"
    return f"Tested on training videos: {_of(_shared(run), run, run.metrics.split)} are, {known}."


def _broken_line(run: Record) -> str:
    said = f"{_of(len(run.data.broken), run, 'train')} could not be decoded"
    return f"{said}{_such_as(run.data.broken_names)}: others stood in for them."


def _broken_test_line(run: Record) -> str:
    said = f"{_of(len(run.data.broken_test or ()), run, run.metrics.split)} could not be decoded"
    return f"{said}{_such_as(run.data.broken_test_names)}, and count as wrong."


def _untuned(run: Record) -> int:
    return int(bool(run.recipe.get("untuned")) and not run.recipe.get("tuned"))


def _edges(run: Record) -> list[str]:
    return list(run.recipe.get("tuned", {}).get("edges", ()))


def _edge_line(run: Record) -> str:
    keys = ", ".join(_edges(run))
    return f"Tuned to the lowest or highest value tried, of {keys}: a better one may lie beyond."


def _external_line(run: Record) -> str:
    files = (
        f"{file} ({sha[:8]})" for file, sha in sorted((run.environment.external or {}).items())
    )
    return f"Of somebody's own folder, not of this suite: {', '.join(files)}."


def _asked_precision(run: Record) -> str:
    return str(run.recipe.get("trainer", {}).get("precision"))


def _other_precision(run: Record) -> int:
    used = run.environment.precision
    return int(used is not None and _WORDS.get(_asked_precision(run), used) != used)


def _precision_line(run: Record) -> str:
    used, asked = run.environment.precision, _asked_precision(run)
    return f"Computed in {used}, not in {asked} as asked for: the device has no such thing."


def _of(count: int, run: Record, split: str) -> str:
    what = {"train": "training", "holdout": "held-out"}.get(split, split)
    return f"{count:,} of {run.data.splits[split].videos:,} {what} videos"


def _such_as(names: Sequence[str] | None) -> str:
    return f", such as {names[0]}" if names else ""


_WORDS = {  # what Lightning calls the precisions that may be given as other words
    **{key: "32-true" for key in ("32", "32-true")},
    **{key: "64-true" for key in ("64", "64-true")},
    **{key: "16-mixed" for key in ("16", "16-mixed")},
    **{key: "bf16-mixed" for key in ("bf16", "bf16-mixed")},
    **{key: key for key in ("16-true", "bf16-true", "transformer-engine")},
}
CAUTIONS = (
    Caution("§", _shared, _shared_line),
    Caution("¶", lambda run: len(run.data.broken), _broken_line),
    Caution("¤", lambda run: len(run.data.broken_test or ()), _broken_test_line),
    Caution("◊", _other_precision, _precision_line),
    Caution("○", _untuned, lambda run: "Not tuned: with what its protocol sets for all methods."),
    Caution("⊕", lambda run: len(run.environment.external or ()), _external_line),
    Caution("↕", lambda run: len(_edges(run)), _edge_line),
)


def marks(row: Row) -> str:
    """Return the marks of a row."""
    return "".join(each.mark for each in CAUTIONS if any(map(each.count, row.records)))


def cautions(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for every mark that one of `rows` has, of the run it is most true of."""
    runs = [run for row in rows for run in row.records]
    for each in CAUTIONS:
        worst = max(runs, key=each.count, default=None)
        if worst is not None and each.count(worst):
            yield f"{each.mark} {each.line(worst)}"
