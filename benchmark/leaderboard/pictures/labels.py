"""Names beside points, where they cover least."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.leaderboard.pictures.theme import FAINT, LABEL

MARKER = 7.0  # points
# Where a label may stand: angles around its point, at distances in points; the nearest and the
# most to the right come first.
PLACES = np.array(
    [
        (distance * math.cos(math.radians(angle)), distance * math.sin(math.radians(angle)))
        for distance in (8, 16, 26, 38, 52)
        for angle in (0, 90, 270, 180, 45, 315, 135, 225)
    ]
)
ROUNDS = 4  # each label in turn; what the first ones took, they may leave again

Floats = NDArray[np.float64]


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


def label(panel: Axes, points: Sequence[Point]) -> None:
    """Write every point's name beside it, where it covers least; the layout must be settled."""
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    scale = figure.dpi / 72  # pixels per point
    sizes, at = [], []
    obstacles = [np.array(each.get_window_extent().extents) for each in panel.texts]
    for each in points:
        text = panel.text(each.x, each.y, each.name, fontsize=LABEL, parse_math=False)
        size = text.get_window_extent()
        text.remove()
        x, y = panel.transData.transform((each.x, each.y))
        sizes.append((size.width, size.height))
        at.append((x, y))
        reach = MARKER / 2 * scale + 1
        high = panel.transData.transform((each.x, each.high))[1] + reach
        low = panel.transData.transform((each.x, each.low))[1] - reach
        obstacles.append(np.array([x - reach, low, x + reach, high]))
    boxes = _boxes(np.array(at), np.array(sizes), scale)
    chosen = _place(boxes, np.stack(obstacles), np.array(panel.get_window_extent().extents))
    for each, place in zip(points, chosen, strict=True):
        dx, dy = PLACES[place].tolist()
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


def _boxes(at: Floats, sizes: Floats, scale: float) -> Floats:
    """Return (labels, places, 4): what each label covers at each place, in pixels.

    Args:
        at: (labels, 2), the labels' points.
        sizes: (labels, 2), width and height.
        scale: Pixels per point.
    """
    shifts = np.where(np.abs(PLACES[:, 0]) > 1, np.sign(PLACES[:, 0]), 0)  # of text, from centred
    widths, heights = sizes[:, None, 0], sizes[:, None, 1]
    left = at[:, None, 0] + PLACES[:, 0] * scale - widths * (1 - shifts) / 2
    bottom = at[:, None, 1] + PLACES[:, 1] * scale - heights / 2
    return np.stack([left, bottom, left + widths, bottom + heights], axis=2)


def _place(boxes: Floats, obstacles: Floats, inside: Floats) -> list[int]:
    """Return the place of each label where it covers least of the others and of the obstacles.

    Args:
        boxes: Of `_boxes`.
        obstacles: (obstacles, 4).
        inside: (4,), where labels belong.
    """
    sizes = boxes[..., 2:] - boxes[..., :2]
    areas, widths = sizes.prod(axis=2), sizes[..., 0]
    outside = areas - _shared(boxes, inside)
    fixed = _shared(boxes[:, :, None], obstacles).sum(axis=2) + 2 * outside
    fixed += 0.02 * widths * np.arange(len(PLACES)) / 8
    chosen = [0] * len(boxes)
    for _ in range(ROUNDS):
        for own in range(len(boxes)):
            others = [boxes[i, place] for i, place in enumerate(chosen) if i != own]
            covered = _shared(boxes[own][:, None], np.reshape(others, (-1, 4))).sum(axis=1)
            chosen[own] = int(np.argmin(fixed[own] + covered))
    return chosen


def _shared(one: Floats, other: Floats) -> Floats:
    """Return the area that boxes (..., 4) share with others, broadcast."""
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    area: Floats = np.maximum(high - low, 0).prod(axis=-1)
    return area
