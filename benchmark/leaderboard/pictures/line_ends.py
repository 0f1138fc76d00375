"""Names at the right ends of lines, one below the other where ends are close."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.leaderboard.pictures.theme import FAINT

SIZE, LINE = 7.5, 9.6  # points: of type, and from a name to the next
NEAR, FAR = 4.0, 18.0  # points from the axes' right edge: where a thread begins, and its name


class End(NamedTuple):
    """Where a line ends, in a panel's units, and its name."""

    x: float
    y: float
    name: str
    color: str


def label(panel: Axes, ends: Sequence[End]) -> None:
    """Write names beside a panel, at the height where their lines end, or as near as there is room.

    The layout must be settled, and leave room on the right.
    """
    if not ends:
        return
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    scale = figure.dpi / 72  # pixels per point
    order = sorted(ends, key=lambda each: (each.y, each.name))
    heights = [float(panel.transData.transform((0, each.y))[1]) / scale for each in order]
    box = panel.get_window_extent()
    right, bottom, top = box.x1 / scale, box.y0 / scale, box.y1 / scale
    places = spread(heights, LINE, bottom, top)
    for each, height, place in zip(order, heights, places, strict=True):
        x = float(panel.transData.transform((each.x, 0))[0]) / scale
        thread = [(x, height), (right + NEAR, height), (right + FAR - 2, place)]
        ends_at = panel.transAxes.inverted().transform(np.array(thread) * scale)
        panel.plot(
            *ends_at.T, transform=panel.transAxes, color=FAINT, linewidth=0.5, clip_on=False,
            scalex=False, scaley=False,
        )  # fmt: skip
        at = panel.transAxes.inverted().transform(((right + FAR) * scale, place * scale))
        panel.text(
            *(*at, each.name),
            transform=panel.transAxes,
            va="center",
            fontsize=SIZE,
            color=each.color,
            parse_math=False,
        )


def spread(heights: Sequence[float], line: float, bottom: float, top: float) -> list[float]:
    """Return places at least `line` apart, as near to `heights` as can be.

    Args:
        heights: In rising order.
        line: Between two.
        bottom: Below it is none.
        top: Above it is none either, where there is room for all.
    """

    def within(low: float, count: int) -> float:
        return max(min(low, top - (count - 1) * line), bottom)

    heaps: list[tuple[float, int]] = []  # of names that touch: where the lowest stands, how many
    for height in heights:
        low, count = within(height, 1), 1
        while heaps and low < heaps[-1][0] + heaps[-1][1] * line:
            below, others = heaps.pop()
            middle = (below + (others - 1) * line / 2) * others
            middle = (middle + (low + (count - 1) * line / 2) * count) / (others + count)
            count += others
            low = within(middle - (count - 1) * line / 2, count)
        heaps.append((low, count))
    return [low + i * line for low, count in heaps for i in range(count)]
