"""Our runs beside what their papers print, where they were trained and tested as theirs were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.leaderboard.markdown import code, escape, link, table
from benchmark.leaderboard.tables import Row
from benchmark.recipes.name import RunName
from benchmark.results import published
from benchmark.results.published import PROTOCOLS, Published

Interval = tuple[float, float]  # of a row's top-1, as fractions
HEADER = ("method", "paper", "ours", "difference", "inside our interval", "printed in")
INSIDE = {True: "yes", False: "**no**", None: "-"}
LEGEND = """\
Top-1 in percent as the authors print it, and ours of the same method, backbone, frames and views,
trained and tested as they say; the copy of the data may still be another.
"""


@dataclass(frozen=True)
class Comparison:
    """A row of the board beside the paper's, in percent."""

    method: str
    printed: published.Row
    paper: float
    ours: float
    inside: bool | None  # whether the paper's lies in our interval; None: there is none

    @property
    def difference(self) -> float:
        """Ours less the paper's, in points."""
        return self.ours - self.paper


def compare(
    row: Row, printed: Sequence[published.Row], interval: Interval | None = None
) -> Comparison | None:
    """Return `row` beside what its authors print, None where they print no accuracy for it.

    Args:
        row: of the board; all its runs must be of the one configuration that is printed.
        printed: what there is in print.
        interval: of the row's top-1, as fractions.
    """
    first, *others = (published.published(printed, run) for run in row.records)
    if first is None or first.top1 is None or any(other != first for other in others):
        return None
    paper = first.top1 / 100
    inside = None if interval is None else interval[0] <= paper <= interval[1]
    return Comparison(row.method, first, first.top1, 100 * row.top1.mean, inside)


def beside_papers(
    rows: Sequence[Row],
    printed: Published | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> str:
    """Return a table of those of `rows` that a paper prints, as Markdown; "" where none is.

    Args:
        rows: of one table of the board.
        printed: what there is in print. None: `results/published.yaml`, read where it is needed.
        intervals: of the rows' top-1, as fractions, by method.
    """
    if not any(RunName.parse(row.records[0].name).protocol in PROTOCOLS for row in rows):
        return ""
    printed = printed or published.read()
    cells = []
    for row in rows:
        found = compare(row, printed.rows, (intervals or {}).get(row.method))
        if found is not None:
            cells.append(
                [
                    code(found.method),
                    str(found.paper),
                    f"{found.ours:.1f}",
                    f"{found.difference:+.1f}",
                    INSIDE[found.inside],
                    cited(printed, found.printed),
                ]
            )
    return f"{LEGEND}\n{table(HEADER, cells, left=(0, 4, 5))}" if cells else ""


def cited(everything: Published, row: published.Row) -> str:
    """Return where a row was read, as Markdown: a link, and the place in it."""
    source = everything.sources[row.source]
    where = "" if row.where is None else f", {escape(row.where)}"
    return f"{link(escape(source.title), source.url)}{where}"
