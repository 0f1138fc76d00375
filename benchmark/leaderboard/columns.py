"""The board's columns, once: what each says of a row, what it is called, how it is written."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from benchmark.leaderboard.tables import Row
from benchmark.results.schema import Cost
from datamodules.progress_bar import format_duration

Value = float | str | None  # None: not known of every run of the row


@dataclass(frozen=True)
class Column:
    """A column of the board.

    Attributes:
        name: For programs; where the column is the mean of a record's key, that key.
        title: For readers.
        unit: Of the value; "" for a name.
        direction: Whether a higher or a lower value is better; None: neither.
        value: What the column says of a row.
        text: The same for readers, in whichever unit reads best.
    """

    name: str
    title: str
    unit: str
    direction: Literal["higher", "lower"] | None
    value: Callable[[Row], Value]
    text: Callable[[Row], str]
    default: bool = True


def _accuracy(row: Row) -> str:
    spread = "" if row.top1.sd is None else f" ± {100 * row.top1.sd:.1f}"
    return f"{100 * row.top1.mean:.1f}{spread}"


def _parameters(number: float) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"


def _macs(row: Row) -> str:
    """Return a view's in billions, one decimal, and of small numbers three digits; × views."""
    number = row.mean(lambda run: run.cost.macs_per_view)
    billions = f"{number / 1e9:.1f}" if number >= 1e10 else f"{number / 1e9:#.3g}"
    views = row.mean(lambda run: run.cost.views)
    return f"{billions} × {views:.0f}{' merged' if row.merged else ''}"


COLUMNS = (
    Column("method", "method", "", None, lambda row: row.method, lambda row: row.method),
    Column("top1", "top-1 %", "fraction", "higher", lambda row: row.top1.mean, _accuracy),
    Column("seeds", "seeds", "runs", None, lambda row: row.top1.n, lambda row: str(row.top1.n)),
    Column(
        "trained_parameters",
        "tunable",
        "parameters",
        "lower",
        lambda row: row.mean(lambda run: run.cost.trained_parameters),
        lambda row: _parameters(row.mean(lambda run: run.cost.trained_parameters)),
    ),
    Column(
        "total_parameters",
        "total",
        "parameters",
        "lower",
        lambda row: row.mean(lambda run: run.cost.total_parameters),
        lambda row: _parameters(row.mean(lambda run: run.cost.total_parameters)),
    ),
    Column(
        "macs",  # of all views, as `profile` has it
        "GFLOPs",
        "MACs",
        "lower",
        lambda row: row.mean(lambda run: run.cost.macs_per_view * run.cost.views),
        _macs,
    ),
    Column(
        "train_seconds",
        "training",
        "s",
        "lower",
        lambda row: row.mean(lambda run: run.cost.train_seconds),
        lambda row: format_duration(row.mean(lambda run: run.cost.train_seconds)),
    ),
)


def values(row: Row) -> dict[str, Value]:
    """Return a row for programs: its columns by name, the spread, and all other costs by key."""

    def cost(key: str) -> float | None:
        return row.mean(lambda run: getattr(run.cost, key))

    found = {column.name: column.value(row) for column in COLUMNS}
    found |= {"top1_sd": row.top1.sd, "merged": row.merged}
    others = sorted({field.name for field in fields(Cost)} - found.keys())
    return found | {key: cost(key) for key in others}
