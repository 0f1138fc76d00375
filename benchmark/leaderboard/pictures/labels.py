"""Names beside points, and where there is no room a number with a key beside the panel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.leaderboard.pictures.placement import Floats, Place, Scene, Text, place
from benchmark.leaderboard.pictures.theme import FAINT, INK, LABEL

SMALL, NUMBER, KEY = 7.5, 6.8, 7.5  # font sizes, in points, of what isn't LABEL
NEARBY = 36.0  # points: farther from its point a name that need not be there is none
KEY_LINE, KEY_WIDTH = 10.0, 118.0  # points, of a line and of a column of the key
SHARE = 0.6  # of rows that a key has room for


@dataclass(frozen=True)
class Point:
    """A point of a panel, in its units, and what is said of it.

    Attributes:
        x, y: Where it is.
        low, high: Ends of its error bar.
        name: What stands beside it.
        number: What stands there instead where there is no room.
        color: Of both.
        bold: Whether its name is: it is on the front.
        needed: Whether its name is to stand there, as far away as may be.
        size: Of its marker, in points.
    """

    x: float
    y: float
    low: float
    high: float
    name: str
    number: int
    color: str
    bold: bool
    needed: bool
    size: float


def label(panel: Axes, key: Axes | None, points: Sequence[Point], front: Floats) -> None:
    """Write every point's name beside it, or its number, and the numbers' names into the key.

    No text covers another, a point or the front. The layout must be settled.

    Args:
        panel: Which has the points.
        key: Where numbers are explained. None: all points have names.
        points: Those that choose first come first.
        front: (corners, 2), a line in the panel's units.
    """
    scene = _scene(panel, points, front)
    named = [(each, True) for each in points if each.needed or key is None]
    numbered = [] if key is None else [(each, False) for each in points if not each.needed]
    asked = named + numbered
    found = place(scene, [_text(panel, *each) for each in asked])
    for i, (each, name) in enumerate(asked):  # a number becomes a name where there is room
        if not name or found[i] is None:
            around = _with(scene, [p for j, p in enumerate(found) if p is not None and j != i])
            (near,) = place(around, [_text(panel, each, True, NEARBY)])
            if near is not None:
                found[i], asked[i] = near, (each, True)
            elif name and key is not None:
                asked[i] = each, False
                (found[i],) = place(around, [_text(panel, each, False)])
    for (each, name), where in zip(asked, found, strict=True):
        if where is not None:
            _write(panel, each, name, where)
    if key is not None:
        explained = sorted((each for each, name in asked if not name), key=lambda p: p.number)
        _explain(key, explained)


def key_columns(rows: int, height: float) -> int:
    """Return how many columns a key has beside a panel of a height in inches.

    Args:
        rows: Of the table; some have their names in the panel.
        height: In inches.
    """
    return math.ceil(SHARE * rows / (height * 72 / KEY_LINE))


def _scene(panel: Axes, points: Sequence[Point], front: Floats) -> Scene:
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    scale = figure.dpi / 72  # pixels per point
    boxes = [np.array(each.get_window_extent().extents) for each in panel.texts]
    bars = []
    for each in points:
        x, y = panel.transData.transform((each.x, each.y))
        reach = each.size / 2 * scale + 1
        boxes.append(np.array([x - reach, y - reach, x + reach, y + reach]))
        (_, low), (_, high) = panel.transData.transform([(each.x, each.low), (each.x, each.high)])
        bars.append(np.array([x, low, x, high]))
    corners = panel.transData.transform(front)
    lines = np.concatenate([corners[:-1], corners[1:]], axis=1)
    inside = np.array(panel.get_window_extent().extents)
    return Scene(inside, np.stack(boxes), lines, np.stack(bars), scale)


def _with(scene: Scene, places: Sequence[Place]) -> Scene:
    """Return a scene with texts in it, and the lines to them."""
    boxes = [each.box[None] for each in places]
    lines = [each.line[None] for each in places if each.line is not None]
    return replace(
        scene,
        boxes=np.concatenate([scene.boxes, *boxes]),
        lines=np.concatenate([scene.lines, *lines]),
    )


def _font(each: Point, name: bool) -> dict[str, object]:
    if not name:
        return {"fontsize": NUMBER}
    return {"fontsize": LABEL if each.needed else SMALL, "weight": "bold" if each.bold else None}


def _text(panel: Axes, each: Point, name: bool, reach: float = np.inf) -> Text:
    """Return what of a point looks for a place, measured."""
    said = each.name if name else str(each.number)
    drawn = panel.text(each.x, each.y, said, parse_math=False, **_font(each, name))  # type: ignore[arg-type]
    size = drawn.get_window_extent()
    drawn.remove()
    x, y = panel.transData.transform((each.x, each.y))
    return Text((float(x), float(y)), (size.width, size.height), reach)


def _write(panel: Axes, each: Point, name: bool, where: Place) -> None:
    left, bottom, right, top = where.box
    (x, y) = panel.transAxes.inverted().transform(((left + right) / 2, (bottom + top) / 2))
    panel.text(
        *(x, y, each.name if name else str(each.number)),
        transform=panel.transAxes,
        ha="center",
        va="center",
        color=each.color,
        parse_math=False,
        **_font(each, name),  # type: ignore[arg-type]
    )
    if where.line is not None:
        ends = panel.transAxes.inverted().transform(where.line.reshape(2, 2))
        panel.plot(
            *ends.T, transform=panel.transAxes, color=FAINT, linewidth=0.5, zorder=2, scalex=False,
            scaley=False,
        )  # fmt: skip


def _explain(key: Axes, points: Sequence[Point]) -> None:
    """Write the names of numbers, in columns; what finds no room has its number in the table."""
    figure = key.get_figure()
    assert isinstance(figure, Figure)
    box = key.get_window_extent()
    lines = max(1, int(box.height / figure.dpi * 72 / KEY_LINE))
    columns = max(1, round(box.width / figure.dpi * 72 / KEY_WIDTH))
    for i, each in enumerate(points[: lines * columns]):
        column, line = divmod(i, lines)
        for said, shift, side, color in (
            (str(each.number), 14, "right", each.color),
            (each.name, 19, "left", INK),
        ):
            key.annotate(
                said,
                (0, 1),
                xycoords="axes fraction",
                xytext=(column * KEY_WIDTH + shift, -KEY_LINE * (line + 0.5)),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=KEY,
                color=color,
                parse_math=False,
            )
