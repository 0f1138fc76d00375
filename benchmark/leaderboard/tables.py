"""Records side by side: a table per protocol, data and backbone, a row per method.

Records of one name may be of different data: then each data has a table of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import overload

from benchmark.leaderboard.statistics.estimates import Summary, summarize
from benchmark.recipes.name import RunName
from benchmark.results.record import Record
from datamodules.identity import difference


@dataclass(frozen=True)
class Row:
    """A method in one table: its records, one per seed, and what they say together.

    Attributes:
        method: Its name.
        records: One per seed.
        top1: Mean and spread of its accuracy (fractions).
        interval: In which its accuracy over new seeds and new videos lies, with 95 % confidence;
            None: the records do not tell.
        ranks: Between which it lies, from 1, for all rows of the table at once; None likewise.
    """

    method: str
    records: tuple[Record, ...]
    top1: Summary
    interval: tuple[float, float] | None = None
    ranks: tuple[int, int] | None = None

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
OTHER = ", other data"  # behind a table's name: its data is not that of the first one of this name


def tables(records: Iterable[Record]) -> Tables:
    """Return the records by protocol, data and backbone, then by method, the best first.

    Where methods are equally right, the one that trains fewer parameters comes first.
    """
    named: dict[str, list[Record]] = defaultdict(list)
    for each in sorted(records, key=lambda each: each.name):
        named[RunName.parse(each.name).table].append(each)

    def order(row: Row) -> tuple[float, float, str]:
        return -row.top1.mean, row.mean(lambda run: run.cost.trained_parameters), row.method

    def row(method: str, runs: Sequence[Record]) -> Row:
        return Row(method, tuple(runs), summarize([run.metrics.top1 for run in runs]))

    found: Tables = {}
    for table, everything in sorted(named.items()):
        for number, own in enumerate(_of_one_data(everything), 1):
            methods: dict[str, list[Record]] = defaultdict(list)
            for each in own:
                methods[RunName.parse(each.name).row].append(each)
            rows = (row(method, runs) for method, runs in methods.items())
            name = table if number == 1 else f"{table}{OTHER}{f' {number}' if number > 2 else ''}"
            found[name] = sorted(rows, key=order)
    return found


def data_change(found: Tables, table: str) -> str | None:
    """Return how the data of a table is not that of the first one of this name, None if it is."""
    both = (found[table.partition(OTHER)[0]], found[table])
    theirs, own = ([run.data.identity for row in rows for run in row.records] for rows in both)
    changed = (difference(old, new) for old in theirs for new in own)
    return next(filter(None, changed), None)


def _of_one_data(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records in groups that nobody can tell to be of different data."""
    groups: list[list[Record]] = []
    for each in records:
        own = each.data.identity
        for group in groups:
            if all(difference(other.data.identity, own) is None for other in group):
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


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
