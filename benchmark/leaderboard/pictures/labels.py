"""Names beside points, where they cover least."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchmark.leaderboard.pictures.theme import FAINT, LABEL

MARKER = 7.0  # points
# Where a label may stand: angles around its point, at distances in points; the nearest and the
# most to the right come first.
PLACES = tuple(
    (distance * math.cos(math.radians(angle)), distance * math.sin(math.radians(angle)))
    for distance in (8, 16, 26, 38, 52)
    for angle in (0, 90, 270, 180, 45, 315, 135, 225)
)


@dataclass(frozen=True)
class Point:
    """A point of a panel, in its units, and what is said and drawn of it.

    Attributes:
        x, y: Where it is.
        low, high: Ends of its error bar.
        name: What stands beside it.
        color: Of the name.
    """

    x: float
    y: float
    low: float
    high: float
    name: str
    color: str


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


def label(panel: Axes, points: Sequence[Point]) -> None:
    """Write every point's name beside it, where it covers least; the layout must be settled."""
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    scale = figure.dpi / 72  # pixels per point
    labels = []
    obstacles = [each.get_window_extent() for each in panel.texts]
    for each in points:
        text = panel.text(each.x, each.y, each.name, fontsize=LABEL, parse_math=False)
        size = text.get_window_extent()
        text.remove()
        x, y = panel.transData.transform((each.x, each.y))
        labels.append(_Label(x, y, size.width, size.height))
        reach = MARKER / 2 * scale + 1
        high = panel.transData.transform((each.x, each.high))[1] + reach
        low = panel.transData.transform((each.x, each.low))[1] - reach
        obstacles.append(Bbox.from_extents(x - reach, low, x + reach, high))
    _place(labels, obstacles, panel.get_window_extent(), scale)
    for each, placed in zip(points, labels, strict=True):
        dx, dy = placed.place
        far = math.hypot(dx, dy) > 12
        line = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkB": MARKER / 2}
        panel.annotate(
            each.name,
            (each.x, each.y),
            xytext=(dx, dy),
            textcoords="offset points",
            ha="center" if abs(dx) <= 1 else "left" if dx > 0 else "right",
            va="center",
            fontsize=LABEL,
            color=each.color,
            arrowprops=line if far else None,
            parse_math=False,
        )


def _place(labels: Sequence[_Label], obstacles: Sequence[Bbox], inside: Bbox, scale: float) -> None:
    """Let each label in turn stand where it covers least; what the first took, they may leave."""

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

    for _ in range(4):
        for label in labels:
            label.place = min(PLACES, key=lambda place, label=label: cost(label, place))  # type: ignore[misc]
