"""Two rows, or two runs, head to head: how much better one is, where, and what each costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import UserError
from benchmark.leaderboard.columns import COLUMNS, MISSING, aligned
from benchmark.leaderboard.statistics.differences import Difference, difference, sign_flip_test
from benchmark.leaderboard.statistics.estimates import estimates, summarize
from benchmark.leaderboard.tables import Row, kind_of
from benchmark.recipes.name import RunName
from benchmark.results import answers, predictions, record, splits
from benchmark.results.record import Record
from datamodules.dataset_info import Split

SHOWN = 20  # classes, of more those whose accuracies differ most
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassGain:
    """How often two rows are right about the videos of a class, and how much more the first is."""

    name: str
    videos: int
    accuracies: tuple[float, float]

    @property
    def gain(self) -> float:
        """The first's accuracy less the second's."""
        return self.accuracies[0] - self.accuracies[1]


@dataclass(frozen=True)
class Confusion:
    """How many videos of one class two rows take for another one, the mean over seeds."""

    label: str
    answer: str
    videos: int  # of the class `label`
    counts: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Two rows on the same videos.

    Attributes:
        names: What they are called.
        rows: Their records.
        videos: How many were tested.
        clusters: Of how many sources these are.
        difference: The first's top-1 less the second's, paired by video.
        p: Of two single runs being right equally often, exact; None: there are more runs.
        gains: One per class that has videos, the largest first.
        confusion: The one that differs most; None: not all scores are there, or none differs.
        without_scores: A run whose scores are not there, "" if all are.
    """

    names: tuple[str, str]
    rows: tuple[Row, Row]
    videos: int
    clusters: int
    difference: Difference
    p: float | None
    gains: tuple[ClassGain, ...]
    confusion: Confusion | None
    without_scores: str


def compare(first: Sequence[Path], second: Sequence[Path]) -> Comparison:
    """Return how two rows compare, each the records of one row's seeds, or of one run.

    Raises:
        UserError: they were not tested on the same videos, one is several rows, a run is on both
            sides or twice on one, or a record has no answers.
    """
    sides = first, second
    records = [[record.read(file) for file in files] for files in sides]
    names = _name(records[0]), _name(records[1])
    if shared := {*first} & {*second}:
        what = names[0] if {*first} == {*second} else str(min(shared))
        raise UserError(f"{what} is compared with itself: name another run")
    tested = _tested(records, first[0])
    right = [np.stack([_answers(file, tested) for file in files]) for files in sides]
    try:
        one, other = estimates(right, tested.clusters)
    except ValueError as error:
        raise UserError(f"{names[0]}: {error}") from None
    single = len(first) == len(second) == 1
    confusions = [_confusion_counts(*side) for side in zip(sides, records, strict=True)]
    classes = records[0][0].data.classes
    return Comparison(
        names,
        (_row(records[0]), _row(records[1])),
        len(tested),
        one.clusters,
        difference(one, other),
        sign_flip_test(right[0][0], right[1][0], tested.clusters) if single else None,
        gains_of(right, tested.labels, classes),
        _confusion(confusions[0], confusions[1], tested, classes),
        next((each for each in confusions if isinstance(each, str)), ""),
    )


def gains_of(
    right: Sequence[NDArray[np.bool_]], labels: NDArray[np.int64], classes: Sequence[str]
) -> tuple[ClassGain, ...]:
    """Return, of every class that has videos, what one side gains over the other, the most first.

    Args:
        right: Two of (seeds, videos), whether the first answers are right.
        labels: (videos,) class numbers.
        classes: Their names.
    """
    found = []
    for label, count in enumerate(np.bincount(labels, minlength=len(classes)).tolist()):
        if count:
            one, other = (float(side[:, labels == label].mean()) for side in right)
            found.append(ClassGain(classes[label], count, (one, other)))
    return tuple(sorted(found, key=lambda each: -each.gain))


def text(found: Comparison) -> str:
    """Return a comparison for a terminal."""
    first, second = found.names
    width = max(len(column.title) for column in COLUMNS)
    lines = [
        f"A  {first}",
        f"B  {second}",
        f"on the same {found.videos:,} videos from {found.clusters:,} sources",
        "",
        f"A - B, top-1: {difference_text(found.difference)}",
    ]
    if found.p is not None:
        lines.append(f"exact sign-flip test over {found.clusters:,} sources: p = {found.p:.3g}")
    cells = [[column.title, *(column.text(row) for row in found.rows)] for column in COLUMNS]
    known = [row for row in cells if set(row[1:]) != {MISSING}]  # ranks are of a whole table
    lines += ["", *aligned([["", "A", "B"], *known], width)]
    shown = largest(found.gains)
    rest = f", the {SHOWN} of {len(found.gains)} that differ most" if shown != found.gains else ""
    header = [f"top-1 % by class{rest}", "videos", "A", "B", "A - B"]
    body = []
    for each in shown:
        percents = (f"{100 * accuracy:.1f}" for accuracy in each.accuracies)
        body.append([each.name, str(each.videos), *percents, f"{100 * each.gain:+.1f}"])
    lines += ["", *aligned([header, *body])]
    if found.without_scores:
        lines += ["", f"confusions: left out, {found.without_scores}"]
    elif found.confusion is None:
        lines += ["", "confusions: both have the same"]
    else:
        wrong = found.confusion
        one, other = wrong.counts
        said = f"{one:.1f} (A) and {other:.1f} (B) of {wrong.videos} videos"
        taken = f"{wrong.label!r} taken for {wrong.answer!r}"
        lines += ["", f"the confusion that differs most: {taken}: {said}"]
    return "\n".join(lines)


def difference_text(found: Difference) -> str:
    """Return a difference in points with its interval, and of what that is."""
    of = "of new seeds and videos" if found.seeds_known else "of new videos, seeds unknown"
    value, low, high = (f"{100 * each:+.1f}" for each in (found.value, found.low, found.high))
    return f"{value} points, 95 % interval {low} to {high} {of}"


def largest(gains: Sequence[ClassGain]) -> tuple[ClassGain, ...]:
    """Return the SHOWN gains that are largest, either way, in their order."""
    kept = sorted(gains, key=lambda each: -abs(each.gain))[:SHOWN]
    return tuple(each for each in gains if each in kept)


def _name(records: Sequence[Record]) -> str:
    """Return what records are called together: their run, or the row whose seeds they are."""
    names = [RunName.parse(each.name) for each in records]
    if len({*names}) < len(names):
        raise UserError(f"a side holds several records of a run, such as {names[0]}: name one")
    rows = {f"{name.table}/{name.row}" for name in names}
    if len(rows) > 1:
        one, other, *_ = sorted(rows)
        raise UserError(f"{one} and {other} are two rows: a side is one run, or one row's seeds")
    return str(names[0]) if len(names) == 1 else rows.pop()


def _tested(records: Sequence[Sequence[Record]], file: Path) -> Split:
    """Return the split on which all of `records` were tested, `file` the first's."""
    (first, *_), _ = records
    own = first.data.splits[first.metrics.split]
    for run in (run for side in records for run in side):
        other = run.data.splits[run.metrics.split]
        if other.sha256 != own.sha256 or run.data.classes != first.data.classes:
            raise UserError(f"{first.name} and {run.name} were not tested on the same videos")
    return splits.read(file, own.sha256)


def _answers(file: Path, tested: Split) -> NDArray[np.bool_]:
    found = answers.read(file).top1
    if len(found) != len(tested):
        raise UserError(f"{file}: {len(found)} answers, but the split has {len(tested)} videos")
    return found


def _row(records: Sequence[Record]) -> Row:
    top1 = summarize([run.metrics.top1 for run in records])
    name = RunName.parse(records[0].name)
    kind = None if name.options else kind_of(records[0].recipe.get("method"))
    return Row(name.row, tuple(records), top1, kind=kind)


def _confusion_counts(files: Sequence[Path], records: Sequence[Record]) -> Floats | str:
    """Return (K, K), videos by class and answer, the mean over seeds; or what is not there."""
    total = np.zeros((len(records[0].data.classes),) * 2)
    for file, run in zip(files, records, strict=True):
        if (found := predictions.read(file)) is None:
            return f"no scores {predictions.path(file)}"
        if found.classes != len(total):
            raise UserError(f"{predictions.path(file)}: {found.classes} classes, not {len(total)}")
        seen = np.ones(len(found.labels), bool)
        seen[list(run.data.broken_test or ())] = False
        np.add.at(total, (found.labels[seen], found.answers[seen]), 1 / len(files))
    return total


def _confusion(
    one: Floats | str, other: Floats | str, tested: Split, classes: Sequence[str]
) -> Confusion | None:
    if isinstance(one, str) or isinstance(other, str):
        return None
    gap = np.abs(one - other)
    np.fill_diagonal(gap, 0)
    if gap.max() < 1e-9:
        return None
    label, answer = (int(each) for each in np.unravel_index(gap.argmax(), gap.shape))
    videos = int(np.count_nonzero(tested.labels == label))
    counts = float(one[label, answer]), float(other[label, answer])
    return Confusion(classes[label], classes[answer], videos, counts)
