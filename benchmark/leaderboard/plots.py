"""The board's picture: accuracy against tunable parameters, a panel per table."""

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from benchmark.leaderboard.tables import Row, Tables, chance, order_blind_ceiling

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56a0d3", "#7f3fbf", "#444444")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "benchmark",  # otherwise random: element ids would differ every time
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
PANEL = 5.6, 4.2  # inches
MARKER = 7.0  # points
LABEL = 8.5  # points
LEAST = 25.0  # percent an axis of accuracy shows: less makes much of small differences
# Where a label may stand: angles around its point, at distances in points; the nearest and the
# most to the right come first.
PLACES = tuple(
    (distance * math.cos(math.radians(angle)), distance * math.sin(math.radians(angle)))
    for distance in (8, 16, 26, 38)
    for angle in (0, 90, 270, 180, 45, 315, 135, 225)
)


def draw(found: Tables) -> str:
    """Return the picture as SVG; the same tables give the same bytes."""
    with matplotlib.rc_context(STYLE):
        figure = _figure(found)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _figure(found: Tables) -> Figure:
    columns = min(2, len(found))
    rows = math.ceil(len(found) / columns)
    figure = Figure((PANEL[0] * columns, PANEL[1] * rows), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # measures text
    methods = sorted({row.method for table in found.values() for row in table})
    colors = dict(zip(methods, itertools.cycle(COLORS), strict=False))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, (name, table) in zip(panels, found.items(), strict=False):
        _panel(panel, name, table, colors)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    figure.draw_without_rendering()  # settles the layout; labels are placed in what is left
    figure.set_layout_engine("none")
    for panel, table in zip(panels, found.values(), strict=False):
        _label(panel, table, colors)
    return figure


def _panel(panel: Axes, name: str, table: Sequence[Row], colors: dict[str, str]) -> None:
    """Draw the points of a table, with error bars of one standard deviation."""
    panel.set_xscale("log")
    for row in table:
        x, y = _point(row)
        spread = None if row.top1.sd is None else 100 * row.top1.sd
        style: dict[str, Any] = {
            "color": colors[row.method],
            "markeredgecolor": "white",
            "capsize": 2,
        }
        panel.errorbar(x, y, yerr=spread, marker="o", markersize=MARKER, **style)
    xs, ys = zip(*map(_point, table), strict=True)
    spreads = [100 * (row.top1.sd or 0.0) for row in table]
    low = min(y - spread for y, spread in zip(ys, spreads, strict=True))
    high = max(y + spread for y, spread in zip(ys, spreads, strict=True))
    ceiling = order_blind_ceiling(table)
    if ceiling is not None:
        _level(panel, 100 * ceiling, f"blind to order: at most {100 * ceiling:.0f} %", "--")
        low, high = min(low, 100 * ceiling), max(high, 100 * ceiling)
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
    panel.grid(color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.set_title(name.replace("/", " · "), fontsize=10, parse_math=False)
    panel.set_xlabel("tunable parameters, head included (log)")
    panel.set_ylabel("top-1 accuracy (%)")


def _level(panel: Axes, percent: float, text: str, line: str) -> None:
    """Draw an accuracy that is no method's as a line with its meaning at its right end."""
    panel.axhline(percent, color="#888888", linestyle=line, linewidth=1, zorder=0)
    panel.annotate(
        text,
        (1, percent),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color="#666666",
        fontsize=LABEL - 1,
    )


def _point(row: Row) -> tuple[float, float]:
    trained = row.mean(lambda run: run.cost.trained_parameters)
    return max(1.0, trained), 100 * row.top1.mean


@dataclass
class _Label:
    """A label's point, in pixels; its size; and where it stands."""

    x: float
    y: float
    width: float
    height: float
    place: tuple[float, float] = PLACES[0]

    def box(self, scale: float) -> Bbox:
        """Return what the label covers when it stands at `place`, at `scale` pixels a point."""
        dx, dy = self.place
        left = self.x + dx * scale - self.width * (1 - math.copysign(bool(abs(dx) > 1), dx)) / 2
        bottom = self.y + dy * scale - self.height / 2
        return Bbox.from_bounds(left, bottom, self.width, self.height)


def _label(panel: Axes, table: Sequence[Row], colors: dict[str, str]) -> None:
    """Write every method's name beside its point, where it covers least."""
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    scale = figure.dpi / 72  # pixels per point
    labels = []
    obstacles = []
    for row in table:
        x, y = _point(row)
        text = panel.text(x, y, row.method, fontsize=LABEL, parse_math=False)
        size = text.get_window_extent()
        text.remove()
        at = panel.transData.transform((x, y))
        labels.append(_Label(at[0], at[1], size.width, size.height))
        reach = MARKER / 2 * scale + 1
        spread = 100 * (row.top1.sd or 0.0)
        high = panel.transData.transform((x, y + spread))[1] + reach
        low = panel.transData.transform((x, y - spread))[1] - reach
        obstacles.append(Bbox.from_extents(at[0] - reach, low, at[0] + reach, high))
    for each in panel.texts:  # of the levels
        obstacles.append(each.get_window_extent())
    inside = panel.get_window_extent()

    def covered(label: _Label) -> float:
        box = label.box(scale)
        others = [other.box(scale) for other in labels if other is not label]
        shared = [Bbox.intersection(box, other) for other in [*others, *obstacles]]
        area = sum(each.width * each.height for each in shared if each is not None)
        within = Bbox.intersection(box, inside)
        outside = box.width * box.height - (within.width * within.height if within else 0.0)
        return float(area + 2 * outside + 0.02 * box.width * PLACES.index(label.place) / 8)

    def cost(label: _Label, place: tuple[float, float]) -> float:
        label.place = place
        return covered(label)

    for _ in range(4):  # each in turn; what the first ones took, they may leave again
        for label in labels:
            label.place = min(PLACES, key=lambda place, label=label: cost(label, place))  # type: ignore[misc]
    for row, label in zip(table, labels, strict=True):
        dx, dy = label.place
        far = math.hypot(dx, dy) > 12
        line = {"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.7, "shrinkB": MARKER / 2}
        panel.annotate(
            row.method,
            _point(row),
            xytext=(dx, dy),
            textcoords="offset points",
            ha="center" if abs(dx) <= 1 else "left" if dx > 0 else "right",
            va="center",
            fontsize=LABEL,
            color=colors[row.method],
            arrowprops=line if far else None,
            parse_math=False,
        )
