"""Records side by side: a table per protocol, data and backbone, a row per method."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import overload

from benchmark.leaderboard.statistics import Summary, summarize
from benchmark.recipes.name import RunName
from benchmark.results.record import Record


@dataclass(frozen=True)
class Row:
    """A method in one table: its records, one per seed, and what they say together."""

    method: str
    records: tuple[Record, ...]
    top1: Summary

    @property
    def merged(self) -> bool:
        """Whether the models that were tested are merged ones, all of them."""
        return all(run.cost.merged for run in self.records)

    @overload
    def mean(self, of: Callable[[Record], float]) -> float: ...
    @overload
    def mean(self, of: Callable[[Record], float | None]) -> float | None: ...
    def mean(self, of: Callable[[Record], float | None]) -> float | None:
        """Return the mean of something of a record over all, None if one of them lacks it."""
        values = [of(run) for run in self.records]
        numbers = [float(value) for value in values if value is not None]
        return fmean(numbers) if len(numbers) == len(values) else None


Tables = dict[str, list[Row]]  # "protocol/data/backbone" -> rows, the best first


def tables(records: Iterable[Record]) -> Tables:
    """Return the records by protocol, data and backbone, then by method, the best first.

    Where methods are equally right, the one that trains fewer parameters comes first.
    """
    groups: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for each in sorted(records, key=lambda each: each.name):
        run = RunName.parse(each.name)
        groups[run.table][run.row].append(each)

    def order(row: Row) -> tuple[float, float, str]:
        return -row.top1.mean, row.mean(lambda run: run.cost.trained_parameters), row.method

    def row(method: str, runs: Sequence[Record]) -> Row:
        return Row(method, tuple(runs), summarize([run.metrics.top1 for run in runs]))

    return {
        table: sorted((row(method, runs) for method, runs in methods.items()), key=order)
        for table, methods in sorted(groups.items())
    }


def order_blind_ceiling(rows: Iterable[Row]) -> float | None:
    """Return the highest accuracy a model blind to the order of frames can reach, if any is set."""
    ceilings = {run.data.order_blind_ceiling for row in rows for run in row.records}
    return max((each for each in ceilings if each is not None), default=None)


def chance(rows: Iterable[Row]) -> float:
    """Return the accuracy of who does not look: always the class that most tested videos have.

    Of an older record, which lacks it, it is that of a guess: one by the number of classes.
    """
    runs = [run for row in rows for run in row.records]
    return max(run.metrics.chance or 1 / len(run.data.classes) for run in runs)
