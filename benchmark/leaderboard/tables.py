"""Records side by side: a table per protocol, data and backbone, a row per method.

Records of one name may be of different data: then each data has a table of its own. A row whose
recipe has an option changed (`st_adapter,width=24`) is an ablation of the row without: what is
concluded of recipes as they stand hangs on no ablation.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, NamedTuple, overload

import numpy as np

from benchmark.errors import UserError
from benchmark.leaderboard.statistics.differences import Difference
from benchmark.leaderboard.statistics.differences import difference as difference_of
from benchmark.leaderboard.statistics.estimates import Estimate, Summary, estimates, summarize
from benchmark.leaderboard.statistics.ranks import Ranks, ranks
from benchmark.lookup.method_facts import method_facts
from benchmark.recipes.method_list import BASELINES
from benchmark.recipes.name import RunName
from benchmark.results.answers import Evidence, evidence
from benchmark.results.record import Record
from datamodules.identity import DataIdentity, difference


class Kind(NamedTuple):
    """What a method is to a reader of the board.

    Attributes:
        baseline: Whether it is what others are measured against.
        sees_time: Whether it can tell a clip from the same clip in another order.
    """

    baseline: bool
    sees_time: bool

    def __str__(self) -> str:
        return "baseline" if self.baseline else "video method" if self.sees_time else "control"


@dataclass(frozen=True)
class Row:
    """A method in one table: its records, one per seed, and what they say together.

    Attributes:
        method: Its name.
        records: One per seed.
        top1: Mean and spread of its accuracy (fractions).
        estimate: Its accuracy over new seeds and new videos; None: its answers are not kept.
        ranks: Which it may have among the recipes of its table; None likewise, or too few seeds, or
            an ablation.
        full: Full fine-tuning in the same table, if there is such a row.
        kind: What its method is; None: no file says so, or an ablation, whose option may change it.
        ablation: Whether it is a recipe with an option changed, in a table that has others.
        recipe: Of an ablation the row of its recipe as it stands, if there is one.
    """

    method: str
    records: tuple[Record, ...]
    top1: Summary
    estimate: Estimate | None = None
    ranks: Ranks | None = None
    full: "Row | None" = None
    kind: Kind | None = None
    ablation: bool = False
    recipe: "Row | None" = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of its accuracy (fractions), None: its answers are not kept."""
        return self.estimate.interval() if self.estimate else None

    @property
    def to_full(self) -> Difference | None:
        """How much more often it is right than full fine-tuning; None: nobody can tell."""
        return None if self.method == FULL else self._less(self.full)

    @property
    def to_recipe(self) -> Difference | None:
        """How much more often an ablation is right than its recipe; None: nobody can tell."""
        return self._less(self.recipe)

    def _less(self, other: "Row | None") -> Difference | None:
        if not other or not self.estimate or not other.estimate:
            return None
        return difference_of(self.estimate, other.estimate)

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


FULL = "full"  # the method that the others are compared with
PICTURED = 8  # tables that a picture has panels of, the first ones
Known = Callable[[Record], Evidence | None]  # gives what a record's accuracy rests on
Tables = dict[str, list[Row]]  # "protocol/data/backbone" -> rows, the best first
OTHER = ", other data"  # behind a table's name: its data is not that of the first one of this name


def kind_of(method: Mapping[str, Any] | None) -> Kind | None:
    """Return what a recipe's `method` section is, None where no file says so."""
    if not method or "name" not in method:
        return None
    try:
        return Kind(method["name"] in BASELINES, method_facts(method).sees_time)
    except UserError:  # its file is gone, or in somebody's own folder
        return None


def tables(
    records: Iterable[Record],
    evidence: Known = evidence,
    kind: Callable[[Mapping[str, Any] | None], Kind | None] = kind_of,
) -> Tables:
    """Return the records by protocol, data and backbone, then by method, the best first.

    Where methods are equally right, the one that trains fewer parameters comes first.

    Args:
        records: What there is.
        evidence: Gives what the accuracy of a record rests on.
        kind: Gives what the method of a recipe's section is.
    """
    kinds: dict[str, Kind | None] = {}  # files are looked up once, not for every table
    named: dict[str, list[Record]] = defaultdict(list)
    for each in sorted(records, key=lambda each: each.name):
        named[RunName.parse(each.name).table].append(each)

    def order(row: Row) -> tuple[float, float, str]:
        return -row.top1.mean, row.mean(lambda run: run.cost.trained_parameters), row.method

    def row(method: str, runs: Sequence[Record]) -> Row:
        first, top1 = runs[0], summarize([run.metrics.top1 for run in runs])
        section = first.recipe.get("method")
        if (said := repr(section)) not in kinds:
            kinds[said] = kind(section)
        name = RunName.parse(first.name)
        changed = bool(name.options) and not name.scratch
        return Row(method, tuple(runs), top1, kind=kinds[said], ablation=changed)

    found: Tables = {}
    for table, everything in sorted(named.items()):
        for number, own in enumerate(_of_one_data(everything), 1):
            methods: dict[str, list[Record]] = defaultdict(list)
            for each in own:
                methods[RunName.parse(each.name).row].append(each)
            rows = (row(method, runs) for method, runs in methods.items())
            name = table if number == 1 else f"{table}{OTHER}{f' {number}' if number > 2 else ''}"
            found[name] = _judged(_ablated(sorted(rows, key=order)), evidence)
    return found


def recipes(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of a table that are recipes as they stand."""
    return [row for row in rows if not row.ablation]


def ablations(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the ablations of a table by the recipe they are of, in the order of `rows`."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.ablation:
            found.setdefault(recipe_of(row), []).append(row)
    return found


def recipe_of(row: Row) -> str:
    """Return the recipe whose option a row has changed."""
    return row.method.partition(",")[0]


def _ablated(rows: Sequence[Row]) -> list[Row]:
    """Return the rows as what they are beside each other: of no recipe there is no ablation."""
    if all(row.ablation for row in rows):
        return [replace(row, ablation=False, kind=None) for row in rows]
    return [replace(row, kind=None) if row.ablation else row for row in rows]


def _judged(rows: Sequence[Row], evidence: Known) -> list[Row]:
    """Return a table's rows with what can be concluded of them; that of each hangs on the others.

    That of recipes hangs on recipes alone; an ablation's spread of seeds is judged beside all rows.
    Rows without evidence, or tested on other videos than the best that has some, stay as they are.
    """
    answers = [[evidence(run) for run in row.records] for row in rows]
    first = sorted(range(len(rows)), key=lambda i: rows[i].ablation)
    known = [each for i in first for each in answers[i] if each is not None]
    same = [
        i
        for i, row in enumerate(answers)
        if all(each is not None and each.split == known[0].split for each in row)
    ]
    found = list(rows)

    def judge(places: Sequence[int]) -> list[Estimate]:
        right = [np.stack([each.right for each in answers[i] if each is not None]) for i in places]
        return estimates(right, known[0].clusters)

    if same and len(np.unique(known[0].clusters)) > 1:
        ours = [i for i in same if not rows[i].ablation]
        if len(ours) < len(same):
            for i, estimate in zip(same, judge(same), strict=True):
                found[i] = replace(rows[i], estimate=estimate)
        judged = judge(ours) if ours else []
        for i, estimate, ranked in zip(ours, judged, ranks(judged), strict=True):
            found[i] = replace(rows[i], estimate=estimate, ranks=ranked)
    named = {row.method: row for row in found}
    full = named.get(FULL)
    return [
        replace(row, full=full, recipe=named.get(recipe_of(row)) if row.ablation else None)
        for row in found
    ]


def data_change(found: Tables, table: str) -> str | None:
    """Return how the data of a table is not that of the first one of this name, None if it is."""
    if OTHER not in table:
        return None
    both = (found[table.partition(OTHER)[0]], found[table])
    theirs, own = (_distinct(run for row in rows for run in row.records) for rows in both)
    changed = (difference(old, new) for old in theirs for new in own)
    return next(filter(None, changed), None)


def _distinct(records: Iterable[Record]) -> list[DataIdentity]:
    found: list[DataIdentity] = []
    for each in records:
        if each.data.identity not in found:
            found.append(each.data.identity)
    return found


def _of_one_data(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records in groups that nobody can tell to be of different data."""
    groups: list[tuple[list[DataIdentity], list[Record]]] = []  # the former distinct
    for each in records:
        own = each.data.identity
        for identities, group in groups:
            if own in identities:
                group.append(each)
                break
            if all(difference(other, own) is None for other in identities):
                identities.append(own)
                group.append(each)
                break
        else:
            groups.append(([own], [each]))
    return [group for _, group in groups]


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
