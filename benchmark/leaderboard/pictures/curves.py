"""Training curves: a panel per table, a line per method, the mean over its seeds.

Of many methods the best of each kind are drawn in its colour and named, and the others faintly.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.leaderboard.pictures import line_ends, theme
from benchmark.leaderboard.pictures.theme import FAINT
from benchmark.leaderboard.tables import Row, Tables, recipes

PANEL = 5.6, 3.8  # inches
LETTER, THREAD = 0.063, 0.35  # inches, of a name's letter beside a panel, and before the name
FEW = 10  # methods that are all named
BEST = 3  # of each kind, of more
DASHES = "-", (0, (5, 1.5)), (0, (1.2, 1.2))  # within a kind


def draw(found: Tables) -> str:
    """Return the picture as SVG."""
    columns = min(2, len(found))
    rows = math.ceil(len(found) / columns)
    with theme.drawing(PANEL[0] * columns, PANEL[1] * rows) as (figure, svg):
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        every = [recipes(table) for table in found.values()]
        theme.legend(figure, {row.kind for table in every for row in table})
        ends = [_panel(*each) for each in zip(panels, found, every, strict=False)]
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        _leave_room(figure, ends, columns)
        for panel, own in zip(panels, ends, strict=False):
            line_ends.label(panel, own)
        return svg()


def _leave_room(figure: Figure, ends: Sequence[Sequence[line_ends.End]], columns: int) -> None:
    """Settle the layout, with room for names on the right of every panel, up to half of it."""
    longest = max((len(each.name) for own in ends for each in own), default=0)
    names = min(THREAD + LETTER * longest, PANEL[0] / 2) if longest else 0.0
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")
    for panel in figure.axes:
        box = panel.get_position()
        panel.set_position((box.x0, box.y0, box.width - names / PANEL[0] / columns, box.height))


def highlighted(table: Sequence[Row]) -> list[Row]:
    """Return the rows of a table that are drawn in colour: all of few, else the best by kind."""
    if len(table) <= FEW:
        return list(table)
    found: list[Row] = []
    for kind in dict.fromkeys(row.kind for row in table):
        found += [row for row in table if row.kind == kind][:BEST]
    return found


def curve(row: Row) -> list[tuple[int, float]]:
    """Return a row's points: an epoch from 1, the mean accuracy on training clips (fraction).

    Epochs that not every seed knows are left out.
    """
    seen: dict[int, list[float]] = {}
    for run in row.records:
        for point in run.train.curve:
            if point.top1 is not None:
                seen.setdefault(point.epoch + 1, []).append(point.top1)
    whole = {epoch: each for epoch, each in seen.items() if len(each) == len(row.records)}
    return [(epoch, fmean(whole[epoch])) for epoch in sorted(whole)]


def _panel(panel: Axes, name: str, table: Sequence[Row]) -> list[line_ends.End]:
    """Draw a table's curves; return where those end that are to be named."""
    bright, ends = highlighted(table), []
    named = {row.method for row in bright}
    drawn: dict[object, int] = {}  # how many of a kind
    for row in [row for row in table if row.method not in named] + bright:
        if points := curve(row):
            xs, ys = zip(*((epoch, 100 * top1) for epoch, top1 in points), strict=True)
            look, marker = theme.look(row.kind), "o" if len(points) == 1 else None
            if row.method in named:
                dash = DASHES[drawn.get(row.kind, 0) % len(DASHES)]
                drawn[row.kind] = drawn.get(row.kind, 0) + 1
                panel.plot(xs, ys, color=look.color, linewidth=1.4, linestyle=dash, marker=marker)
                ends.append(line_ends.End(xs[-1], ys[-1], row.method, look.color))
            else:
                panel.plot(xs, ys, color=FAINT, linewidth=0.7, alpha=0.45, marker=marker, zorder=1)
    panel.set_title(theme.title(name), fontsize=10, parse_math=False)
    panel.set_xlabel("epoch")
    panel.set_ylabel("top-1 of training clips (%)")
    panel.set_ylim(bottom=0)
    panel.margins(x=0.02)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ends
