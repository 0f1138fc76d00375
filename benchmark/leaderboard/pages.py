"""The leaderboard's pages in Markdown: a board per protocol, an index; functions of the records."""

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from benchmark.leaderboard.cautions import cautions, marks
from benchmark.leaderboard.columns import COLUMNS, MISSING, aligned, chosen
from benchmark.leaderboard.markdown import code, escape, table
from benchmark.leaderboard.papers import beside_papers
from benchmark.leaderboard.statistics import differences, estimates, ranks, scores
from benchmark.leaderboard.tables import (
    PICTURED,
    Known,
    Row,
    Tables,
    ablations,
    chance,
    data_change,
    order_blind_ceiling,
    recipe_of,
    recipes,
    tables,
)
from benchmark.recipes.compose import changes
from benchmark.recipes.name import RunName, shared_overrides
from benchmark.results.answers import evidence
from benchmark.results.published import Published
from benchmark.results.record import Record

TITLE = "# Leaderboard: "
PICTURES = {  # by what is shown of a protocol: their files are NAME.svg and NAME-dark.svg
    "accuracy": "top-1 accuracy against tunable parameters",
    "intervals": "top-1 accuracy of each method, its seeds and its interval",
    "curves": "training curves",
    "heat_map": "top-1 accuracy of every method on every dataset",
    "ablations": "top-1 accuracy of each ablation beside its recipe",  # where there are any
}
NOTE = "Accuracies are means over seeds, on the test split, with the last weights."
DIRTY = "†"
MIXED = "‡"
WIDTH = 100  # columns of a terminal
PAPERS = """\
[PUBLISHED.md](PUBLISHED.md): what the papers print, dataset by dataset, each number with its source
and beside our own count of parameters and GFLOPs."""
WRITTEN = "Written by `benchmark leaderboard` from the records here, never by hand."
LEGEND = """\
**time**: whether the method can tell a clip from the same clip in another order; in the picture
filled points can, hollow ones can't, diamonds are baselines, and a number is a row of the table,
counted from its top. **top-1**: accuracy in percent on the test split, read once, with the last
weights; the mean over seeds ± their sample standard deviation. **95 % interval**: of that accuracy
over new seeds and new videos. **rank**: between which ranks the row lies, all rows of the table at
once with 95 %: rows whose ranks overlap are not told apart; no interval covers tuning, the copy of
the dataset, or other datasets ([formulas](../README.md#how-sure-is-that)). **tunable**: parameters
that train, the head included.
**GFLOPs**: multiply-accumulates of a view, in billions, × views of a video, which is what papers
call GFLOPs; *merged*: counted after the method's layers are merged into the frozen ones.
**training**: wall time of a run. **Chance**, below a table and dotted in the picture: the accuracy
of who answers without looking. `benchmark leaderboard --all` prints every other column.
"""
BLIND = """\
What **{ceiling}** means here: a model that is blind to the order of frames cannot be right more
often. The test split holds every clip together with its frame-reversed twin, such a model answers
both alike, and only one of the two answers is right. Above it (the dashed line) a method sees time.
"""
ABLATIONS = """\
Recipes with an option changed, each below its recipe as that stands. **to recipe**: how many points
more often right it is, with the 95 % interval of that one difference, which knows nothing of the
others. Ablations have no rank, and no rank or interval of a recipe hangs on them.
"""
ABLATED = ("top1", "interval", "to_recipe", "seeds", "trained_parameters", "macs_per_view",
           "train_seconds")  # fmt: skip
RULES = """\
## Rules

A row is the runs of one recipe that differ in nothing but the seed. Rows of one table were trained
and tested on the same videos (by checksum of their lists), with the same backbone (by fingerprint
of its weights) and protocol, and may be compared; numbers of different tables may not. A run gets a
row when it was tested once, on the test split, with the weights of its last step; runs that score
held-out training clips are for tuning, and left out. Runs whose recipe was changed by overrides lie
in `results/scratch/` and never stand here.
"""

TUNED = """\
Every method's learning rate, and what else its protocol lets be chosen, is the best of the same
number of trials on videos held out of training: [all trials](tuning/README.md).
"""
OVERALL = """\
The mean over the data above, and Borda's count: how many methods a method beats, half for a tie,
added up over the data. A method that was not run on all of it has neither.
"""


UNSTEADY = 1.5  # times between seeds of a row that differ by more say more of the machine


def by_protocol(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each protocol, whose board lies in the folder of that name."""
    found: dict[str, list[Record]] = {}
    for each in records:
        found.setdefault(RunName.parse(each.name).protocol, []).append(each)
    return dict(sorted(found.items()))


def tested(records: Iterable[Record], evidence: Known = evidence) -> Tables:
    """Return the tables of those records that read the test split.

    Args:
        records: What there is.
        evidence: Gives what the accuracy of a record rests on.
    """
    return tables((each for each in records if each.metrics.split == "test"), evidence)


def board(protocol: str, records: Sequence[Record], found: Tables | None = None) -> str:
    """Return the page of a protocol.

    Args:
        protocol: Its name.
        records: All of its records.
        found: Their tables, of `tested`. None: made of them.
    """
    found = tested(records) if found is None else found
    parts = [f"{TITLE}{escape(protocol)}\n", f"{WRITTEN} [All boards](../README.md)\n"]
    first, *others = (picture(name, described(name, found)) for name in pictured(found))
    parts += [first, LEGEND] if found else []
    parts += sections(found)
    if any(each.recipe.get("tuned") for each in records):
        parts.append(TUNED)
    parts += ["## Pictures\n", *others] if found else []
    if len(found) > PICTURED:
        parts.append(f"Pictures show the first {PICTURED} of {len(found)} tables.\n")
    parts += [RULES] if found else []
    if left := sum(each.metrics.split != "test" for each in records):
        parts.append(f"Left out: {_count(left, 'run')} scored on held-out training clips.\n")
    return "\n".join(parts)


def sections(found: Tables, printed: Published | None = None) -> list[str]:
    """Return what a page says of tables: each with its notes, beside papers, and of all data.

    Args:
        found: The tables.
        printed: What papers print. None: `results/published.yaml`, read where it is needed.
    """
    parts = []
    for name, rows in found.items():
        parts.append(f"## {' · '.join(escape(part) for part in name.split('/')[1:])}\n")
        ceiling = order_blind_ceiling(rows)
        if ceiling is not None:
            parts.append(BLIND.format(ceiling=f"{100 * ceiling:.0f} %"))
        if other := data_change(found, name):
            parts.append(f"**Not the data of the first table of this name:** {escape(other)}.\n")
        parts += [_table(recipes(rows)), *(f"{note}\n" for note in notes(rows))]
        intervals = {row.method: row.interval for row in rows if row.interval}
        papers = beside_papers(rows, printed, intervals)
        parts += [papers] if papers else []
        if changed := ablations(rows):
            told = ABLATIONS in parts
            parts.append(f"### Ablations on {escape(name.split('/')[1])}\n")
            parts += [] if told else [ABLATIONS]
            parts.append(_ablation_table(rows, changed))
    return [*parts, _overall(found)] if found else []


def _overall(found: Tables) -> str:
    """Return a table of the methods over all data of a backbone, "" where there is but one."""
    of_backbone: dict[str, list[dict[str, float | None]]] = {}
    for name, rows in found.items():
        accuracies: dict[str, float | None] = {r.method: r.top1.mean for r in recipes(rows)}
        of_backbone.setdefault(name.split("/", 2)[2], []).append(accuracies)
    parts = []
    for backbone, datasets in of_backbone.items():
        means, counts = scores.mean_over_datasets(datasets), scores.borda(datasets)
        order = sorted(means, key=lambda each: (counts[each] is None, -(counts[each] or 0), each))
        cells = [
            [
                code(method),
                MISSING if (mean := means[method]) is None else f"{100 * mean:.1f}",
                MISSING if (count := counts[method]) is None else f"{count:g}",
            ]
            for method in order
        ]
        if len(datasets) > 1:
            parts.append(f"## All data · {escape(backbone)}\n")
            parts += [OVERALL, table(["method", "mean top-1 %", "Borda"], cells)]
    return "\n".join(parts)


def index(boards: Mapping[str, Tables]) -> str:
    """Return the page that leads to the boards, by protocol."""
    parts = ["# Leaderboards\n", f"{WRITTEN}\n"]
    parts.append(f"{PAPERS}\n")
    if not boards:
        return "\n".join([*parts, "There are no records yet: `make sweep` makes some.\n"])
    first = next(iter(boards))
    parts.append(picture(f"{first}/accuracy", described("accuracy", boards[first])))
    cells = []
    for protocol, found in boards.items():
        for name, rows in found.items():
            _, data, backbone = name.split("/", 2)
            ours = recipes(rows)
            best = next(column.text(ours[0]) for column in COLUMNS if column.name == "top1")
            runs = sum(len(row.records) for row in rows)
            place = f"[{escape(protocol)}]({protocol}/README.md)", escape(data), escape(backbone)
            cells.append([*place, str(len(ours)), str(runs), code(ours[0].method), best])
    header = ("board", "data", "backbone", "methods", "runs", "best", "top-1 %")
    parts.append(table(header, cells, left=(0, 1, 2, 5)))
    judged = (estimates, differences, ranks, scores)
    parts += ["## How sure is that?\n", *(part.EXPLANATION for part in judged)]
    return "\n".join(parts)


def pictured(found: Tables) -> list[str]:
    """Return the names of the pictures that a board has: of ablations where there are any."""
    shown = list(found.values())[:PICTURED]
    return [name for name in PICTURES if name != "ablations" or any(map(ablations, shown))]


def described(name: str, found: Tables) -> str:
    """Return what stands in for a picture of a board where it isn't seen."""
    if name not in ("accuracy", "intervals"):
        return PICTURES[name]
    parts = []
    for name_of, rows in list(found.items())[:PICTURED]:
        ours = recipes(rows)
        best, least = ours[0], ours[-1]
        ends = (f"{row.method} {100 * row.top1.mean:.1f} %" for row in (best, least))
        from_to = " to ".join(ends) if len(ours) > 1 else next(ends)
        parts.append(f"{name_of.split('/')[1]}: {_count(len(ours), 'method')}, {from_to}")
    return f"{PICTURES[name]}; {'; '.join(parts)}"


def picture(name: str, text: str) -> str:
    """Return a picture for a page: NAME.svg, on dark pages NAME-dark.svg.

    Args:
        name: Of the file.
        text: What is said where the picture isn't seen.
    """
    text = html.escape(" ".join(text.split())).replace("`", "'")
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">\n'
        f'  <img alt="{text}" src="{name}.svg">\n'
        "</picture>\n"
    )


def plain(records: Iterable[Record], *, every: bool = False, evidence: Known = evidence) -> str:
    """Return the tables as aligned text, for a terminal; what all rows share stands above them.

    Args:
        records: What the tables are of.
        every: All columns, not the default ones.
        evidence: Gives what the accuracy of a record rests on.
    """
    blocks, found = [], tables(records, evidence)
    shown = chosen(every=every)
    for name, rows in found.items():
        names = [RunName.parse(row.records[0].name) for row in rows]
        shared = shared_overrides(names)
        lines = [[column.title for column in shown]]
        for run, row in sorted(zip(names, rows, strict=True), key=lambda each: each[1].ablation):
            method = f"{run.without(shared).row}{marks(row)}"
            lines.append([method, *(column.text(row) for column in shown[1:])])
        other = data_change(found, name)
        title = f"{name}: {other}" if other else name
        with_ = textwrap.wrap(f"with {' '.join(shared)}", WIDTH, break_on_hyphens=False)
        below = [f"chance: {100 * chance(rows):.1f} %", *cautions(rows)]
        blocks.append("\n".join([title, *(with_ if shared else []), *aligned(lines), *below]))
    return "\n\n".join(blocks)


def notes(rows: Sequence[Row]) -> list[str]:
    """Return what a reader must know before believing a table."""
    runs = [run for row in rows for run in row.records]
    devices = sorted({run.environment.device for run in runs})
    commits = [run.environment.commit[:10] for run in runs]
    told = all(run.metrics.chance is not None for run in runs)
    answer = "always the most frequent class" if told else "a guess among the classes"
    found = [f"Chance is {100 * chance(rows):.1f} %: {answer}."]
    found.append(f"Trained on {'; '.join(map(escape, devices))}.")
    if (spread := max(map(_time_spread, rows))) > UNSTEADY:
        found.append(
            "Training times are of a machine that did other things, too: seeds of a row differ up "
            f"to {spread:.1f}-fold. `benchmark bench` compares the methods' speed."
        )
    if min(row.top1.n for row in rows) == 1:
        found.append("One seed ranks nothing: differences of a point or two may be chance.")
    if len(set(commits)) > 1:
        each = (f"{code(c)} ({_count(commits.count(c), 'run')})" for c in sorted(set(commits)))
        found.append(
            f"These runs come from {len(set(commits))} states of the code: {', '.join(each)}."
        )
    if any(_dirty(row) for row in rows):
        found.append(f"{DIRTY} The code had changes that were not committed.")
    if any(_mixed(row) for row in rows):
        found.append(f"{MIXED} The recipe changed between the seeds of this row.")
    return found + [escape(each) for each in cautions(rows)]


def _time_spread(row: Row) -> float:
    """Return how many times as long as its fastest seed a row's slowest trained, at least 1."""
    seconds = [each for run in row.records if (each := run.cost.train_seconds)]
    return max(seconds) / min(seconds) if seconds else 1.0


def _table(rows: Sequence[Row]) -> str:
    shown, cells = chosen(), []
    for row in rows:
        method, *numbers = (column.text(row) for column in shown)
        cells.append([f"{code(method)}{_marked(row)}", *map(escape, numbers)])
    return table([column.title for column in shown], cells)


def _ablation_table(rows: Sequence[Row], changed: Mapping[str, Sequence[Row]]) -> str:
    """Return a table of ablations, each recipe's below the recipe, in the order of `rows`."""
    named, cells = {row.method: row for row in rows}, []
    shown = [column for name in ABLATED for column in COLUMNS if column.name == name]
    order = [recipe_of(row) for row in [*recipes(rows), *rows]]
    for recipe in sorted(changed, key=order.index):
        for row in [*([named[recipe]] if recipe in named else []), *changed[recipe]]:
            name = f"{code(row.method)}{_marked(row)}"
            numbers = (escape(column.text(row)) for column in shown)
            cells.append([name if row.ablation else f"**{name}**", *numbers])
    return table(["ablation", *(column.title for column in shown)], cells)


def _marked(row: Row) -> str:
    return f"{DIRTY if _dirty(row) else ''}{MIXED if _mixed(row) else ''}{marks(row)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _dirty(row: Row) -> bool:
    return any(run.environment.dirty for run in row.records)


def _mixed(row: Row) -> bool:
    first, *others = row.records
    return any(changes(first.recipe, run.recipe).keys() - {"seed"} for run in others)
