"""Accuracy against tunable parameters, a panel per table, with the front of the best."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.labels import MARKER, Point, label
from benchmark.leaderboard.pictures.theme import FAINT, LABEL, PAPER
from benchmark.leaderboard.statistics.fronts import pareto_front
from benchmark.leaderboard.tables import Row, Tables, chance, order_blind_ceiling

PANEL = 5.6, 4.2  # inches
LEAST = 25.0  # percent an axis of accuracy shows: less makes much of small differences


def draw(found: Tables) -> str:
    """Return the picture as SVG."""
    columns = min(2, len(found))
    rows = math.ceil(len(found) / columns)
    with theme.drawing(PANEL[0] * columns, PANEL[1] * rows) as (figure, svg):
        fill(figure, found, rows, columns)
        return svg()


def fill(figure: Figure, found: Tables, rows: int, columns: int) -> None:
    """Draw a panel per table into `figure`, in a grid."""
    colors = theme.colors(found)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    points = [[_point(row, colors) for row in table] for table in found.values()]
    for panel, (name, table), there in zip(panels, found.items(), points, strict=False):
        _panel(panel, name, table, there)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)  # labels are placed in what is left
    figure.set_layout_engine("none")
    for panel, there in zip(panels, points, strict=False):
        label(panel, there)


def _point(row: Row, colors: dict[str, str]) -> Point:
    trained, y = max(1.0, row.mean(lambda run: run.cost.trained_parameters)), 100 * row.top1.mean
    spread = 100 * (row.top1.sd or 0.0)
    return Point(trained, y, y - spread, y + spread, row.method, colors[row.method])


def _panel(panel: Axes, name: str, table: Sequence[Row], points: Sequence[Point]) -> None:
    """Draw the points of a table, with error bars of one standard deviation."""
    panel.set_xscale("log")
    for each in points:
        bar = None if each.low == each.high else [[each.y - each.low], [each.high - each.y]]
        panel.errorbar(
            each.x,
            each.y,
            yerr=bar,
            marker="o",
            markersize=MARKER,
            color=each.color,
            markeredgecolor=PAPER,
            capsize=2,
        )
    _front(panel, points)
    low, high = min(each.low for each in points), max(each.high for each in points)
    ceiling = order_blind_ceiling(table)
    if ceiling is not None:
        _level(panel, 100 * ceiling, f"blind to order: at most {100 * ceiling:.0f} %", "--")
        low, high = min(low, 100 * ceiling), max(high, 100 * ceiling)
    xs = [each.x for each in points]
    decades = max(1.0, math.log10(max(xs) / min(xs)))
    margin = 10 ** (0.12 * decades)
    panel.set_xlim(min(xs) / margin, max(xs) * margin**1.6)  # labels like to stand on the right
    room = max(0.1 * (high - low), (LEAST - (high - low)) / 2)
    panel.set_ylim(max(-2.0, low - room), min(104.0, high + room))
    guess = 100 * chance(table)
    if panel.get_ylim()[0] < guess:  # far below all methods it would make them one heap
        _level(panel, guess, f"chance: {guess:.1f} %", ":")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades < 2.5 else (1.0,)))
    panel.xaxis.set_major_formatter(EngFormatter(sep=" "))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_title(theme.title(name), fontsize=10, parse_math=False)
    panel.set_xlabel("tunable parameters, head included (log)")
    panel.set_ylabel("top-1 accuracy (%)")


def _front(panel: Axes, points: Sequence[Point]) -> None:
    """Draw the Pareto front: what nothing beats on both axes, as a step to the right and up."""
    xs, ys = [each.x for each in points], [each.y for each in points]
    on_it = pareto_front(xs, ys, ("lower", "higher"))
    best = sorted((x, y) for x, y, on in zip(xs, ys, on_it, strict=True) if on)
    panel.step(*zip(*best, strict=True), where="post", color=FAINT, linewidth=0.8, zorder=1)


def _level(panel: Axes, percent: float, text: str, line: str) -> None:
    """Draw an accuracy that is no method's as a line with its meaning at its right end."""
    panel.axhline(percent, color=FAINT, linestyle=line, linewidth=1, zorder=0)
    panel.annotate(
        text,
        (1, percent),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color=FAINT,
        fontsize=LABEL - 1,
    )
