"""The board's columns, once: what each says of a row, what it is called, how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from benchmark.leaderboard.statistics.differences import Difference
from benchmark.leaderboard.statistics.fronts import Direction
from benchmark.leaderboard.statistics.scores import (
    performance_memory_tradeoff,
    performance_parameter_tradeoff,
)
from benchmark.leaderboard.tables import Row, recipe_of
from benchmark.recipes.name import RunName
from benchmark.results.record import Record
from benchmark.results.schema import Cost
from datamodules.progress_bar import format_duration

Value = float | str | None  # None: not known of every run of the row
MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column of the board.

    Attributes:
        name: For programs; where the column is the mean of a record's key, that key.
        title: For readers.
        unit: Of the value; "" for a name.
        direction: Whether a higher or a lower value is better; None: neither.
        value: What the column says of a row.
        text: The same for readers, in whichever unit reads best; MISSING where it is not known.
        default: Whether the column is shown unless all are asked for.
    """

    name: str
    title: str
    unit: str
    direction: Direction | None
    value: Callable[[Row], Value]
    text: Callable[[Row], str]
    default: bool = False


def _mean(
    name: str,
    title: str,
    unit: str,
    direction: Direction | None,
    of: Callable[[Record], float | None],
    write: Callable[[float], str],
    *,
    default: bool = False,
) -> Column:
    """Return a column that is a mean over the runs of a row, missing where one run lacks it."""

    def text(row: Row) -> str:
        mean = row.mean(of)
        return MISSING if mean is None else write(mean)

    return Column(name, title, unit, direction, lambda row: row.mean(of), text, default)


def _name(name: str, title: str, of: Callable[[Record], str]) -> Column:
    """Return a column that lists what the runs of a row say, each thing once."""

    def listed(row: Row) -> str:
        return "; ".join(sorted({of(run) for run in row.records}))

    return Column(name, title, "", None, listed, listed)


def _accuracy(row: Row) -> str:
    spread = "" if row.top1.sd is None else f" ± {100 * row.top1.sd:.1f}"
    return f"{100 * row.top1.mean:.1f}{spread}"


def _interval(row: Row) -> str:
    if row.interval is None or row.estimate is None:
        return MISSING
    low, high = row.interval
    unknown = "" if row.estimate.seeds_known else ", seeds unknown"
    return f"{100 * low:.1f}–{100 * high:.1f}{unknown}"


def _difference(found: Difference | None) -> str:
    if found is None:
        return MISSING
    unknown = "" if found.seeds_known else ", seeds unknown"
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}{unknown})"


def _time(row: Row) -> str | None:
    return None if row.kind is None else "yes" if row.kind.sees_time else "no"


def _kind(row: Row) -> str | None:
    return None if row.kind is None else str(row.kind)


def _recipe(row: Row) -> str | None:
    return recipe_of(row) if row.ablation else None


def _ppt(row: Row) -> float:
    tunable = row.mean(lambda run: run.cost.trained_parameters - run.cost.head_parameters)
    return performance_parameter_tradeoff(row.top1.mean, tunable)


def _pmt(row: Row) -> float | None:
    memory = row.mean(_training_memory)
    full = row.full.mean(_training_memory) if row.full else None
    return performance_memory_tradeoff(row.top1.mean, memory, full) if memory and full else None


def _score(of: Callable[[Row], float | None]) -> Callable[[Row], str]:
    return lambda row: MISSING if (score := of(row)) is None else f"{100 * score:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _parameters(number: float) -> str:
    if not number:
        return "0"
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"


def _megabytes(number: float) -> str:
    return f"{number / 1e6:#.3g} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"


def _billions(number: float) -> str:
    """Return billions of MACs, one decimal, and of small numbers three digits."""
    return f"{number / 1e9:.1f}" if number >= 1e10 else f"{number / 1e9:#.3g}"


def _view(row: Row) -> str:
    """Return a view's MACs in billions × views."""
    number = row.mean(lambda run: run.cost.macs_per_view)
    views = row.mean(lambda run: run.cost.views)
    return f"{_billions(number)} × {views:.0f}{' merged' if row.merged else ''}"


def _training_memory(run: Record) -> float | None:
    peak = run.cost.peak_device_memory_bytes
    return run.cost.saved_for_backward_bytes if peak is None else peak


def _training_speed(run: Record) -> float | None:
    """Return clips per second of training without the time in which the model waited for them."""
    speed, waiting = run.cost.clips_per_second, run.cost.data_wait
    return None if speed is None or waiting is None or waiting == 1 else speed / (1 - waiting)


def _device_hours(run: Record) -> float | None:
    return None if run.cost.device_seconds is None else run.cost.device_seconds / 3600


def _tuned(run: Record) -> str:
    """Return what a run's settings were chosen by: how many trials, on which videos."""
    tuned = run.recipe.get("tuned")
    if not tuned:
        return "untuned" if run.recipe.get("untuned") else MISSING
    seeds = "" if tuned["seeds"] == 1 else f" x {tuned['seeds']} seeds"
    budget = f"{tuned['clips']:,} clips"
    return f"{tuned['trials']} trials{seeds}, {budget}, on {tuned['videos']:,} held-out videos"


def _hardware(run: Record) -> str:
    number = run.environment.world_size
    return f"{f'{number} × ' if number > 1 else ''}{run.environment.device}"


def _commit(run: Record) -> str:
    return f"{run.environment.commit[:10]}{' dirty' if run.environment.dirty else ''}"


COLUMNS = (
    Column("method", "method", "", None, lambda row: row.method, lambda row: row.method, True),
    Column("time", "time", "", None, _time, lambda row: _time(row) or MISSING, True),
    Column("top1", "top-1 %", "fraction", "higher", lambda row: row.top1.mean, _accuracy, True),
    Column(
        "interval",
        "95 % interval",
        "fraction",
        None,
        lambda row: _interval(row) if row.interval else None,
        _interval,
        True,
    ),
    Column(
        "rank",
        "rank",
        "",
        None,
        lambda row: str(row.ranks) if row.ranks else None,
        lambda row: str(row.ranks or MISSING),
        True,
    ),
    Column(
        "to_full",
        "to full",
        "fraction",
        "higher",
        lambda row: row.to_full.value if row.to_full else None,
        lambda row: _difference(row.to_full),
    ),
    Column(
        "to_recipe",
        "to recipe",
        "fraction",
        "higher",
        lambda row: row.to_recipe.value if row.to_recipe else None,
        lambda row: _difference(row.to_recipe),
    ),
    _mean("top5", "top-5 %", "fraction", "higher", lambda run: run.metrics.top5, _percent),
    _mean(
        "mean_class",
        "per class %",
        "fraction",
        "higher",
        lambda run: run.metrics.mean_class,
        _percent,
    ),
    Column(
        "seeds", "seeds", "runs", None, lambda row: row.top1.n, lambda row: str(row.top1.n), True
    ),
    _mean(
        "trained_parameters",
        "tunable",
        "parameters",
        "lower",
        lambda run: run.cost.trained_parameters,
        _parameters,
        default=True,
    ),
    _mean(
        "trained_without_head",
        "tunable, no head",
        "parameters",
        "lower",
        lambda run: run.cost.trained_parameters - run.cost.head_parameters,
        _parameters,
    ),
    _mean(
        "total_parameters",
        "total",
        "parameters",
        "lower",
        lambda run: run.cost.total_parameters,
        _parameters,
    ),
    _mean(
        "checkpoint_bytes",
        "checkpoint",
        "bytes",
        "lower",
        lambda run: run.cost.checkpoint_bytes,
        _megabytes,
    ),
    Column(
        "macs_per_view",
        "GFLOPs",
        "MACs",
        "lower",
        lambda row: row.mean(lambda run: run.cost.macs_per_view),
        _view,
        default=True,
    ),
    _mean(
        "macs",  # of all views, as `profile` has it
        "GFLOPs in all",
        "MACs",
        "lower",
        lambda run: run.cost.macs_per_view * run.cost.views,
        _billions,
    ),
    _mean(
        "training_macs",
        "training GFLOPs",
        "MACs",
        "lower",
        lambda run: run.cost.training_macs,
        _billions,
    ),
    _mean("training_memory", "memory", "bytes", "lower", _training_memory, _megabytes),
    _mean(
        "training_clips_per_second",
        "training clips/s",
        "1/s",
        "higher",
        _training_speed,
        lambda speed: f"{speed:.0f}",
    ),
    _mean(
        "inference_clips_per_second",
        "inference clips/s",
        "1/s",
        "higher",
        lambda run: run.cost.inference_clips_per_second,
        lambda speed: f"{speed:.0f}",
    ),
    _mean(
        "train_seconds",
        "training",
        "s",
        "lower",
        lambda run: run.cost.train_seconds,
        format_duration,
        default=True,
    ),
    _mean(
        "device_hours", "device-hours", "h", "lower", _device_hours, lambda hours: f"{hours:#.3g}"
    ),
    _mean(
        "data_wait",
        "data wait %",
        "fraction",
        "lower",
        lambda run: run.cost.data_wait,
        _percent,
    ),
    Column("ppt", "PPT", "fraction", "higher", _ppt, _score(_ppt)),
    Column("pmt", "its memory twin", "fraction", "higher", _pmt, _score(_pmt)),
    Column("kind", "kind", "", None, _kind, lambda row: _kind(row) or MISSING),
    Column("ablation_of", "ablation of", "", None, _recipe, lambda row: _recipe(row) or MISSING),
    _name("protocol", "protocol", lambda run: RunName.parse(run.name).protocol),
    _name("tuned", "tuned", _tuned),
    _name("hardware", "hardware", _hardware),
    _name("commit", "commit", _commit),
    _name("measured_by", "measured by", lambda run: run.environment.measured_by or MISSING),
)


def chosen(*, every: bool = False) -> tuple[Column, ...]:
    """Return the columns that a board shows: those of its default view, or every one."""
    return tuple(column for column in COLUMNS if every or column.default)


def aligned(cells: Sequence[Sequence[str]], first: int = 0) -> list[str]:
    """Return rows of cells as lines for a terminal, the first column to the left, others right.

    Args:
        cells: A row each, as many cells in all.
        first: How wide the first column is at least, in characters.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = max(first, widths[0])
    return [
        "  ".join([name.ljust(left), *map(str.rjust, rest, widths[1:])]).rstrip()
        for name, *rest in cells
    ]


def values(row: Row) -> dict[str, Value]:
    """Return a row for programs: its columns by name, the spread, and all other costs by key."""

    def cost(key: str) -> float | None:
        return row.mean(lambda run: getattr(run.cost, key))

    found = {column.name: column.value(row) for column in COLUMNS}
    low, high = row.interval or (None, None)
    found |= {"top1_sd": row.top1.sd, "top1_low": low, "top1_high": high, "merged": row.merged}
    others = sorted({field.name for field in fields(Cost)} - found.keys())
    return found | {key: cost(key) for key in others}
