"""Names beside points, and where there is no room a number with a key beside the panel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.leaderboard.pictures.placement import (
    Floats,
    Place,
    Scene,
    Text,
    crosses,
    overlap,
    place,
)
from benchmark.leaderboard.pictures.theme import FAINT, LABEL

SMALL, NUMBER, KEY = 7.5, 6.8, 7.5  # font sizes, in points, of what isn't LABEL
NEARBY = 36.0  # points: farther from its point a name that need not be there is none
KEY_LINE, KEY_LETTER, KEY_INDENT = 10.0, 4.6, 24.0  # points, in the key
KEY_COLUMNS = 4  # at most


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


def label(
    panel: Axes, points: Sequence[Point], front: Floats, levels: Sequence[float], *, many: bool
) -> None:
    """Write every point's name beside it, or its number, and a key of the numbers where it is free.

    No text covers another, a point or the front. The layout must be settled.

    Args:
        panel: Which has the points.
        points: Those that choose first come first.
        front: (corners, 2), a line in the panel's units.
        levels: Heights of lines across the panel, in its units.
        many: Whether a point without room for its name may have its number.
    """
    scene = _scene(panel, points, front)
    asked = [(each, each.needed or not many) for each in points]
    found = place(scene, [_text(panel, *each) for each in asked])
    for i, (each, name) in enumerate(asked):  # a number becomes a name where there is room
        if not name or found[i] is None:
            around = _with(scene, [p for j, p in enumerate(found) if p is not None and j != i])
            (near,) = place(around, [_text(panel, each, True, NEARBY)])
            if near is not None:
                found[i], asked[i] = near, (each, True)
            elif name and many:
                asked[i] = each, False
                (found[i],) = place(around, [_text(panel, each, False)])
    for (each, name), where in zip(asked, found, strict=True):
        if where is not None:
            _write(panel, each, name, where)
    numbered = sorted((each for each, name in asked if not name), key=lambda each: each.number)
    if numbered:
        _explain(
            panel, _with(scene, [each for each in found if each is not None]), numbered, levels
        )


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


def _font(each: Point, name: bool) -> dict[str, Any]:
    if not name:
        return {"fontsize": NUMBER}
    return {"fontsize": LABEL if each.needed else SMALL, "weight": "bold" if each.bold else None}


def _text(panel: Axes, each: Point, name: bool, reach: float = np.inf) -> Text:
    """Return what of a point looks for a place, measured."""
    said = each.name if name else str(each.number)
    drawn = panel.text(each.x, each.y, said, parse_math=False, **_font(each, name))
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
        **_font(each, name),
    )
    if where.line is not None:
        ends = panel.transAxes.inverted().transform(where.line.reshape(2, 2))
        panel.plot(
            *ends.T, transform=panel.transAxes, color=FAINT, linewidth=0.5, zorder=2, scalex=False,
            scaley=False,
        )  # fmt: skip


def _explain(panel: Axes, scene: Scene, points: Sequence[Point], levels: Sequence[float]) -> None:
    """Write the names of numbers where the panel is free; nowhere if it isn't."""
    left, bottom, right, top = scene.inside
    heights = [float(panel.transData.transform((1, each))[1]) for each in levels]
    across = [np.array([left, height, right, height]) for height in heights]
    lines = np.concatenate([scene.lines, scene.bars, *(each[None] for each in across)])
    width = (KEY_LETTER * max(len(each.name) for each in points) + KEY_INDENT) * scene.scale
    height = KEY_LINE * scene.scale
    for columns in range(1, KEY_COLUMNS + 1):
        count = math.ceil(len(points) / columns)
        size = columns * width, (count + 1) * height
        xs, ys = np.arange(right - size[0], left, -height), np.arange(bottom, top - size[1], height)
        corners = np.array([(x, y) for x in xs for y in ys]).reshape(-1, 2)
        boxes = np.concatenate([corners, corners + size], axis=1)
        free = ~overlap(boxes, scene.boxes).any(axis=1) & ~crosses(lines, boxes).any(axis=0)
        if free.any():
            x, _, _, y = boxes[np.argmax(free)]
            break
    else:
        return
    for i, each in enumerate(points):
        column, line = divmod(i, count)
        at = x + column * width, y - (line + 1) * height
        across, up = panel.transAxes.inverted().transform(at).tolist()
        panel.text(
            across,
            up,
            f"{each.number:>2}  {each.name}",
            transform=panel.transAxes,
            va="center",
            fontsize=KEY,
            color=each.color,
            parse_math=False,
        )
