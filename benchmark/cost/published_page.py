"""`results/PUBLISHED.md`: what the papers print, a table per dataset, our own counts beside it.

A pure function of `results/published.yaml` and of the code: a row is counted as soon as the suite
has its method and its backbone.
"""

import math
from collections.abc import Mapping, Sequence

from benchmark.cost.published_counts import (
    TOLERANCE,
    Count,
    Difference,
    agreement,
    count,
    differences,
)
from benchmark.leaderboard.markdown import anchor, code, escape, link, table
from benchmark.leaderboard.papers import cited
from benchmark.recipes import compose
from benchmark.results.published import COUNTS, PUBLISHED, Published, Row, read
from datamodules.files import atomic_write

PAGE = PUBLISHED.with_name("PUBLISHED.md")
PERCENT = f"{100 * TOLERANCE:.0f} %"
MISSING = "-"
UNITS = {"gmacs": "GFLOPs", "trained_m": "tunable, M", "total_m": "total, M"}
INTRODUCTION = """\
# What the papers print

{accuracies} printed accuracies of {methods} methods on {data} datasets, and {others} rows of costs
alone, each with its source and its doubts, and **our own count** of the same configuration beside
it, made on a model that needs neither weights nor videos. Written from
[published.yaml](published.yaml) by `benchmark leaderboard --published`, never by hand.
What this suite measured itself is on [its own board](README.md).
"""
LEGEND = """\
## How to read it

- **frames × views**: frames of a clip × clips and crops of a video. Accuracies compare only where
  these, the backbone and the copy of the data are the same. None is printed with an interval.
- **GFLOPs**: multiply-accumulates in billions over all views (of one view where ? stands for their
  number); papers count one multiply-accumulate as one. Ours are those of products, convolutions and
  attention.
- **tunable**, **total**: parameters that train, and those of the model that is tested, merged where
  the method merges; the head included where the data has classes.
- **ours**: parameters to the last one; {missing} where this suite lacks the method or the backbone,
  or where there is no one configuration to count. A difference over {tolerance} is a link to its
  explanation; *rounded*: the digits that are printed explain it.
- *rerun*: somebody else's run of the method. The rows without accuracy, last in a table, are costs
  that are printed alone, or that the authors' code has.
"""
DIFFER = "Where our count differs"


def write() -> None:
    """Write the page of `results/published.yaml`.

    Raises:
        UserError: the file is wrong, or leaves a difference to our count unexplained.
    """
    with atomic_write(PAGE) as file:
        file.write(page(read()).encode())


def page(published: Published) -> str:
    """Return the page; the same file and code give the same bytes.

    Raises:
        UserError: a difference to our count is not explained.
    """
    ours = [count(row, published.data[row.data].classes) for row in published.rows]
    differing, agreeing = differences(published.rows, ours)
    notes: dict[str, int] = {}
    tables = _tables(published, ours, notes)
    accurate = [row for row in published.rows if row.top1 is not None]
    introduction = INTRODUCTION.format(
        accuracies=len(accurate),
        methods=len({row.method for row in accurate}),
        data=len({row.data for row in accurate}),
        others=len(published.rows) - len(accurate),
    )
    legend = LEGEND.format(missing=MISSING, tolerance=PERCENT)
    parts = [introduction, _contents(published), legend, *tables]
    parts += [f"## {DIFFER}\n", _differing(published, differing, agreeing)]
    parts += ["## Sources\n", _sources(published), "## Methods\n", _papers(published)]
    parts.append("\n".join(f"[^{number}]: {escape(text)}" for text, number in notes.items()) + "\n")
    return "\n".join(parts)


def _tables(published: Published, ours: Sequence[Count | None], notes: dict[str, int]) -> list[str]:
    """Return the datasets' tables, by backbone and then by accuracy; `notes` gets the footnotes."""
    parts = []
    lines = list(zip(published.rows, ours, strict=True))
    for name, data in published.data.items():
        parts.append(f"## {escape(data.title)}\n")
        parts += [f"{escape(data.about)}\n"] if data.about else []
        for vit, title in published.backbones.items():
            of = [line for line in lines if (line[0].data, line[0].backbone) == (name, vit)]
            if of:
                # sorted keeps equal rows in the order of the file
                of.sort(key=lambda line: math.inf if line[0].top1 is None else -line[0].top1)
                parts += [f"### {escape(data.title)}: {escape(title)}\n"]
                parts.append(_table(published, of, notes))
    return parts


def _table(
    published: Published, lines: Sequence[tuple[Row, Count | None]], notes: dict[str, int]
) -> str:
    """Return one table, without the columns that nothing stands in."""
    header = ["method", "frames × views", "top-1", "top-5"]
    header += [title for unit in UNITS.values() for title in (unit, "ours")] + ["source"]
    rows = [_cells(published, row, own, notes) for row, own in lines]
    filled = {i for i in range(len(header)) if any(cells[i] != MISSING for cells in rows)}
    pairs = [(i, i + 1) for i, title in enumerate(header) if title in UNITS.values()]
    used = sorted(filled.union(*(pair for pair in pairs if filled & {*pair})))
    last = len(used) - 1
    cells = [[line[i] for i in used] for line in rows]
    return table([header[i] for i in used], cells, left=(0, last))


def _cells(published: Published, row: Row, own: Count | None, notes: dict[str, int]) -> list[str]:
    paper = published.paper(row.method)
    method = link(code(row.method), paper.url if paper else None)
    source = published.sources[row.source]
    doubts = [*row.doubts, *([source.doubt] if source.doubt else [])]
    marks = "".join(f"[^{notes.setdefault(doubt, len(notes) + 1)}]" for doubt in doubts)
    frames = MISSING if row.frames is None else f"{row.frames} × {row.views or '?'}"
    return [
        method + (f" ({escape(row.chosen)})" if row.chosen else ""),
        frames,
        *(MISSING if each is None else _accuracy(each) for each in (row.top1, row.top5)),
        *(cell for key in COUNTS for cell in (_printed(row, key), _ours(row, key, own))),
        f"{cited(published, row)}{', *rerun*' if row.reproduced else ''}{marks}",
    ]


def _accuracy(percent: float) -> str:
    return str(float(percent))  # as printed, but for zeros after the first decimal


def _printed(row: Row, key: str) -> str:
    value = getattr(row, key)
    return MISSING if value is None else f"{value:,}"


def _ours(row: Row, key: str, own: Count | None) -> str:
    """Return our count, exact where it is one of parameters, and how far the printed one is."""
    if own is None:
        return MISSING
    value, printed = own.figure(key), getattr(row, key)
    text = {"gmacs": f"{value:,.1f}", "trained_m": f"{own.trained:,}", "total_m": f"{own.total:,}"}
    match "near" if printed is None else agreement(printed, value):
        case "near":
            return text[key]
        case "rounded":
            return f"{text[key]} *rounded*"
        case "far":
            return f"{text[key]} **{link(_percent(printed, value), anchor(DIFFER))}**"


def _percent(printed: float, ours: float) -> str:
    return f"{100 * (ours - printed) / printed:+.1f} %" if printed else "not 0"


def _contents(published: Published) -> str:
    lines = []
    for name, data in published.data.items():
        rows = [row for row in published.rows if row.data == name]
        if rows:
            best = max((row.top1 for row in rows if row.top1 is not None), default=None)
            highest = "" if best is None else f", up to {_accuracy(best)} %"
            lines.append(f"- {link(escape(data.title), anchor(data.title))}: {len(rows)}{highest}")
    for heading in (DIFFER, "Sources", "Methods"):
        lines.append(f"- {link(heading, anchor(heading))}")
    return "\n".join(lines) + "\n"


def _differing(
    published: Published, found: Sequence[Difference], agreeing: Mapping[str, int]
) -> str:
    printed = sum(agreeing.values()) + len(found)
    text = (
        f"Of {printed} printed figures that we can count too, {sum(agreeing.values())} are ours "
        f"within {PERCENT} or as they are rounded. The others:\n"
    )
    header = ["method", "on", "figure", "printed", "ours", "difference", "source", "why"]
    rows = [
        [
            code(each.row.method),
            f"{escape(published.data[each.row.data].title)}, "
            f"{escape(published.backbones[each.row.backbone])}",
            UNITS[each.key],
            _printed(each.row, each.key),
            f"{each.ours:,.2f}",
            _percent(getattr(each.row, each.key), each.ours),
            escape(published.sources[each.row.source].title),
            escape(each.why),
        ]
        for each in found
    ]
    return f"{text}\n{table(header, rows, left=(0, 1, 2, 6, 7))}"


def _sources(published: Published) -> str:
    lines = []
    for key, source in published.sources.items():
        rows = sum(row.source == key for row in published.rows)
        doubt = "" if source.doubt is None else f" {escape(source.doubt)}"
        lines.append(f"- {link(escape(source.title), source.url)}: {rows} of the rows.{doubt}")
    return "\n".join(lines) + "\n"


def _papers(published: Published) -> str:
    ours = set(compose.names("methods"))
    lines = []
    for paper in published.papers.values():
        names = ", ".join(
            f"{code(m)}{'' if m in ours else ' (not here yet)'}" for m in paper.methods
        )
        lines.append(f"- {link(escape(paper.title), paper.url)}: {names}")
    return "\n".join(lines) + "\n"
