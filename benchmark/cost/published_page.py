"""`results/PUBLISHED.md`: what the papers print, a table per dataset, our own counts beside it.

A pure function of `results/published.yaml` and of the code: a row is counted as soon as the suite has
its method and its backbone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache

import torch

from benchmark.cost import counts
from benchmark.errors import UserError
from benchmark.leaderboard.markdown import anchor, code, escape, link, table
from benchmark.methods import adapt
from benchmark.models import backbone
from benchmark.recipes import compose
from benchmark.results.published import COUNTS, PUBLISHED, Published, Row, label, read
from datamodules.files import atomic_write

PAGE = PUBLISHED.with_name("PUBLISHED.md")
SIZE = 224  # px, of the frames of every configuration that is counted
TOLERANCE = 0.01  # of a printed figure; what is further away is told
MISSING = "-"
UNITS = {"gmacs": "GFLOPs", "trained_m": "tunable, M", "total_m": "total, M"}
INTRODUCTION = """\
# What the papers print

{rows} printed results of {methods} methods on {data} datasets, each with its source, its doubts, and
**our own count** of the same configuration beside it, on a model that needs neither weights nor
videos. Written by `python -m benchmark leaderboard --published` from
[published.yaml](published.yaml), never by hand. What this suite measured itself is on
[its own board](README.md).
"""
LEGEND = """\
## How to read it

- **frames × views**: frames of a clip × clips and crops of a video. Accuracies compare only where
  these, the backbone and the copy of the data are the same; seeds are never printed.
- **GFLOPs**: multiply-accumulates in billions over all views (of one view where ? stands for their
  number): papers count one multiply-accumulate as one. Ours are products, convolutions and attention.
- **tunable**, **total**: parameters that train, and of the model that is tested, merged where the
  method merges; the head included.
- **ours**: counted exactly. {missing} where this suite lacks the method or the backbone, or where
  there is no one configuration to count. A difference over {tolerance} is a link to its explanation;
  *rounded* is one that the digits which are printed explain.
- *rerun*: somebody else's run of the method. Rows without accuracy, at the end of a table, are counts.
"""
DIFFER = "Where our count differs"


@dataclass(frozen=True)
class Count:
    """What a configuration costs: parameters, and the MACs of one view."""

    macs: int
    trained: int
    total: int


@dataclass(frozen=True)
class Difference:
    """A printed figure that our count is more than `TOLERANCE` away from, and why."""

    row: Row
    key: str
    ours: float
    why: str


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
    methods, data = ({getattr(row, key) for row in published.rows} for key in ("method", "data"))
    introduction = INTRODUCTION.format(
        rows=len(published.rows), methods=len(methods), data=len(data)
    )
    legend = LEGEND.format(missing=MISSING, tolerance=f"{TOLERANCE:.0%}")
    parts = [introduction, _contents(published), legend, *tables]
    parts += [f"## {DIFFER}\n", _differing(published, differing, agreeing)]
    parts += ["## Sources\n", _sources(published), "## Methods\n", _papers(published)]
    parts.append("\n".join(f"[^{number}]: {escape(text)}" for text, number in notes.items()) + "\n")
    return "\n".join(parts)


def count(row: Row, classes: int | None) -> Count | None:
    """Return our own count of a row's configuration, None where we have none such.

    Args:
        row: of the papers.
        classes: of its data; None: the head is left out of the parameters.
    """
    known = row.method in compose.names("methods") and row.backbone in compose.names("backbones")
    if not known or row.frames is None or row.chosen is not None:
        return None
    return _count(row.method, row.backbone, row.frames, classes)


@cache
def _count(method: str, vit: str, frames: int, classes: int | None) -> Count:
    chosen = compose.read(f"backbones/{vit}")["backbone"]
    options = dict(compose.read(f"methods/{method}")["method"])
    with torch.device("meta"):
        frozen = backbone.build(chosen["name"], size=SIZE, options=chosen["options"])
        model = adapt(frozen, options.pop("name"), frames=frames, classes=classes or 1, **options)
    tested = model.merged_or_self()
    head = 0 if classes else counts.parameters(model.head)
    return Count(
        macs=counts.macs(tested, size=SIZE),
        trained=counts.parameters(model, trained=True) - head,
        total=counts.parameters(tested) - head,
    )


def differences(
    rows: Sequence[Row], ours: Sequence[Count | None]
) -> tuple[list[Difference], dict[str, int]]:
    """Return what differs by more than `TOLERANCE`, and how many figures of each key do not.

    Raises:
        UserError: one that differs is not explained.
    """
    found, agreeing = [], dict.fromkeys(COUNTS, 0)
    for i, (row, own) in enumerate(zip(rows, ours, strict=True)):
        for key in COUNTS:
            printed = getattr(row, key)
            if own is None or printed is None:
                continue
            value = _in_its_unit(own, key, row)
            if not _differs(printed, value):
                agreeing[key] += 1
            elif why := (row.differences or {}).get(key):
                found.append(Difference(row, key, value, why))
            else:
                raise UserError(
                    f"{PUBLISHED.name}: {label(i, asdict(row))}: {key} is {printed}, and by our "
                    f"count {value:.6g}: say why under differences.{key}"
                )
    return found, agreeing


def _in_its_unit(own: Count, key: str, row: Row) -> float:
    return {
        "gmacs": own.macs * (row.views or 1) / 1e9,
        "trained_m": own.trained / 1e6,
        "total_m": own.total / 1e6,
    }[key]


def _differs(printed: float, ours: float) -> bool:
    return abs(ours - printed) > TOLERANCE * printed and not _rounds_to(printed, ours)


def _rounds_to(printed: float, ours: float) -> bool:
    """Return whether `printed` is `ours` to as many decimals as are printed."""
    exponent = Decimal(str(printed)).as_tuple().exponent
    assert isinstance(exponent, int)
    return abs(ours - printed) <= 0.5 * 10.0 ** min(exponent, 0) * (1 + 1e-9)


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
    used = [i for i in range(len(header)) if any(cells[i] != MISSING for cells in rows)]
    last = len(used) - 1
    cells = [[line[i] for i in used] for line in rows]
    return table([header[i] for i in used], cells, left=(0, last))


def _cells(published: Published, row: Row, own: Count | None, notes: dict[str, int]) -> list[str]:
    paper = published.paper(row.method)
    method = link(code(row.method), paper and paper.url)
    source = published.sources[row.source]
    where = link(escape(source.title), source.url)
    where += "" if row.where is None else f", {escape(row.where)}"
    doubts = [*row.doubts, *([source.doubt] if source.doubt else [])]
    marks = "".join(f"[^{notes.setdefault(doubt, len(notes) + 1)}]" for doubt in doubts)
    frames = MISSING if row.frames is None else f"{row.frames} × {row.views or '?'}"
    return [
        method + (f" ({escape(row.chosen)})" if row.chosen else ""),
        frames,
        *(MISSING if each is None else f"{each:.4g}" for each in (row.top1, row.top5)),
        *(cell for key in COUNTS for cell in (_printed(row, key), _ours(row, key, own))),
        f"{where}{', *rerun*' if row.reproduced else ''}{marks}",
    ]


def _printed(row: Row, key: str) -> str:
    value = getattr(row, key)
    return MISSING if value is None else f"{value:,}"


def _ours(row: Row, key: str, own: Count | None) -> str:
    """Return our count, exact where it is one of parameters, and how far the printed one is."""
    if own is None:
        return MISSING
    value, printed = _in_its_unit(own, key, row), getattr(row, key)
    text = {"gmacs": f"{value:,.1f}", "trained_m": f"{own.trained:,}", "total_m": f"{own.total:,}"}
    if printed is None or abs(value - printed) <= TOLERANCE * printed:
        return text[key]
    if not _differs(printed, value):
        return f"{text[key]} *rounded*"
    return f"{text[key]} **{link(_percent(printed, value), anchor(DIFFER))}**"


def _percent(printed: float, ours: float) -> str:
    return f"{100 * (ours - printed) / printed:+.1f} %" if printed else "not 0"


def _contents(published: Published) -> str:
    lines = []
    for name, data in published.data.items():
        rows = [row for row in published.rows if row.data == name]
        if rows:
            best = max((row.top1 for row in rows if row.top1 is not None), default=None)
            highest = "" if best is None else f", up to {best:.4g} %"
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
        f"within {TOLERANCE:.0%} or as they are rounded. The others:\n"
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
