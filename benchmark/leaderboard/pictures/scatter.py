"""Accuracy against tunable parameters, a panel per table, with the front of the best.

Recipes as they stand: ablations have a picture of their own. Where methods are few every one is
named; of many the front and the baselines are, others as far as there is room, and the rest has
its place in the table as a number, which a key in the panel explains.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.labels import Point, label
from benchmark.leaderboard.pictures.placement import Floats, crosses
from benchmark.leaderboard.pictures.theme import FAINT, LABEL
from benchmark.leaderboard.statistics.fronts import pareto_front
from benchmark.leaderboard.tables import Row, Tables, chance, order_blind_ceiling, recipes

PANEL = 5.6, 4.2  # inches
FEW = 14  # methods of a table that are all named
WIDE = 9.4, 5.6  # inches, of a panel with more, which has a line of its own
MARKER, SMALL = 7.0, 5.6  # points, of one and of many
Level = tuple[float, str]  # percent, and what it means
LEAST, CLOSE = 25.0, 18.0  # percent that an axis shows, of few and of many methods: less makes
# much of small differences


def draw(found: Tables) -> str:
    """Return the picture as SVG."""
    many = crowded(found)
    columns, (width, height) = (1, WIDE) if many else (min(2, len(found)), PANEL)
    rows = math.ceil(len(found) / columns)
    with theme.drawing(width * columns, height * rows) as (figure, svg):
        fill(figure, found, rows, columns)
        return svg()


def crowded(found: Tables) -> bool:
    """Return whether a table has more methods than can all be named."""
    return any(len(recipes(table)) > FEW for table in found.values())


def fill(figure: Figure, found: Tables, rows: int, columns: int) -> None:
    """Draw a panel per table into `figure`, in a grid."""
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    every, many = [recipes(table) for table in found.values()], crowded(found)
    kinds = [row.kind for table in every for row in table]
    theme.legend(figure, kinds, theme.meaning("Pareto front", "-"))
    points = [_points(table, many=many) for table in every]
    drawn = [_panel(*each) for each in zip(panels, found, every, points, strict=False)]
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)  # labels are placed in what is left
    figure.set_layout_engine("none")
    for panel, there, (front, levels) in zip(panels, points, drawn, strict=False):
        for percent, text in levels:
            _say(panel, percent, text, there, front)
        first = sorted(there, key=lambda each: (not each.bold, not each.needed, each.number))
        label(panel, first, front, [percent for percent, _ in levels], many=many)


def _points(table: Sequence[Row], *, many: bool) -> list[Point]:
    found = [(max(1.0, _tunable(row)), 100 * row.top1.mean) for row in table]
    xs, ys = [x for x, _ in found], [y for _, y in found]
    front = pareto_front(xs, ys, ("lower", "higher"))
    points = []
    for number, (row, (x, y), on_it) in enumerate(zip(table, found, front, strict=True), 1):
        spread = 100 * (row.top1.sd or 0.0)
        needed = bool(not many or on_it or (row.kind and row.kind.baseline))
        color, size = theme.look(row.kind).color, MARKER if needed else SMALL
        ends = y - spread, y + spread
        points.append(Point(x, y, *ends, row.method, number, color, bool(on_it), needed, size))
    return points


def _tunable(row: Row) -> float:
    return row.mean(lambda run: run.cost.trained_parameters)


def _panel(
    panel: Axes, name: str, table: Sequence[Row], points: Sequence[Point]
) -> tuple[Floats, list[Level]]:
    """Draw the points of a table, with error bars of one standard deviation, and the front.

    Returns:
        The front's corners (corners, 2), and the levels that are to be explained.
    """
    levels = []
    panel.set_xscale("log")
    for row, each in zip(table, points, strict=True):
        if each.low != each.high:
            ends = [each.low, each.high]
            panel.plot([each.x] * 2, ends, color=each.color, linewidth=1, alpha=0.55, zorder=2)
        theme.point(panel, each.x, each.y, row.kind, each.size)
    front = _front(panel, points)
    low, high = min(each.low for each in points), max(each.high for each in points)
    ceiling = order_blind_ceiling(table)
    if ceiling is not None:
        levels.append((100 * ceiling, f"blind to order: at most {100 * ceiling:.0f} %"))
        panel.axhline(100 * ceiling, color=FAINT, linestyle="--", linewidth=1, zorder=0)
        low, high = min(low, 100 * ceiling), max(high, 100 * ceiling)
    xs = [each.x for each in points]
    decades = max(1.0, math.log10(max(xs) / min(xs)))
    margin = 10 ** (0.12 * decades)
    panel.set_xlim(min(xs) / margin, max(xs) * margin**1.9)  # labels like to stand on the right
    least = CLOSE if len(table) > FEW else LEAST
    room = max(0.1 * (high - low), (least - (high - low)) / 2)
    panel.set_ylim(max(-2.0, low - room), min(104.0, high + room))
    guess = 100 * chance(table)
    if panel.get_ylim()[0] < guess:  # far below all methods it would make them one heap
        levels.append((guess, f"chance: {guess:.1f} %"))
        panel.axhline(guess, color=FAINT, linestyle=":", linewidth=1, zorder=0)
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades < 2.5 else (1.0,)))
    panel.xaxis.set_major_formatter(EngFormatter(sep=" "))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_title(theme.title(name), fontsize=10, parse_math=False)
    panel.set_xlabel("tunable parameters, head included (log)")
    panel.set_ylabel("top-1 accuracy (%)")
    return front, levels


def _front(panel: Axes, points: Sequence[Point]) -> Floats:
    """Draw the Pareto front, a step to the right and up; return its corners (corners, 2).

    On it is what nothing beats on both axes.
    """
    best = sorted((each.x, each.y) for each in points if each.bold)
    corners = [best[0]]
    for x, y in best[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    front = np.array(corners)
    panel.plot(*front.T, color=FAINT, linewidth=0.9, zorder=1)
    return front


def _say(panel: Axes, percent: float, text: str, points: Sequence[Point], front: Floats) -> None:
    """Write what a level means at an end of its line: where it covers nothing, if it can be."""
    at = panel.transData.transform([(each.x, each.y) for each in points])
    corners = panel.transData.transform(front)
    lines = np.concatenate([np.tile(at, 2), np.hstack([corners[:-1], corners[1:]])])
    said = panel.annotate(
        *(text, (1, percent), (-2, 3), ("axes fraction", "data"), "offset points"),
        color=FAINT,
        fontsize=LABEL - 1,
    )
    for right, above in ((True, True), (False, True), (True, False), (False, False), (True, True)):
        said.xy = (float(right), percent)
        said.set_position((-2 if right else 2, 3 if above else -3))
        said.set(ha="right" if right else "left", va="bottom" if above else "top")
        box = np.array(said.get_window_extent().padded(MARKER).extents)
        if not crosses(lines, box[None]).any():
            break
