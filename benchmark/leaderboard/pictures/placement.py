"""Where texts may stand beside their points: geometry of boxes and segments, in pixels.

A box is (left, bottom, right, top), a segment (x0, y0, x1, y1); functions take many of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Candidates = tuple[Floats, Floats, Floats]  # of a text: boxes and lines (n, 4), and costs (n,)

ANGLES = (0, 90, 270, 180, 45, 315, 135, 225, 22, 338, 68, 112, 158, 202, 248, 292)
DISTANCES = (7.5, 10.5, 15, 21, 28, 36, 46, 58, 72, 88, 106, 128)  # points, from the point's centre
NEAR = 11.0  # points: a text so near needs no line to its point
ROUNDS = 8  # each text in turn; what the first ones took, they may leave again
PAD = np.array([-3.0, -1.0, 3.0, 1.0])  # pixels around a text that stay free
# What is worth how many points of distance.
CROSSED, COVERED, ANGLE = 60.0, 12.0, 0.35  # a line by the text's own; an error bar; an odd angle
PUSHED = 1e4  # another text: what is possible without is better


@dataclass(frozen=True)
class Scene:
    """What is there before any text.

    Attributes:
        inside: (4,), the box where texts belong.
        boxes: (n, 4), what no text may cover: points, and texts that stand.
        lines: (n, 4), what no text may cover: the front.
        bars: (n, 4), what a text had better not cover: error bars.
        scale: Pixels per point.
    """

    inside: Floats
    boxes: Floats
    lines: Floats
    bars: Floats
    scale: float


@dataclass(frozen=True)
class Text:
    """A text that looks for a place.

    Attributes:
        at: Its point.
        size: Its width and height.
        reach: How far away it may stand, in points.
    """

    at: tuple[float, float]
    size: tuple[float, float]
    reach: float = math.inf


@dataclass(frozen=True)
class Place:
    """Where a text stands: its box, and the line from its point to it, None where it is near."""

    box: Floats
    line: Floats | None


def place(scene: Scene, texts: Sequence[Text]) -> list[Place | None]:
    """Return where each text stands; it covers no box, no line and no other text.

    Args:
        scene: What is there.
        texts: The first ones choose first.

    Returns:
        None: there is no room for it.
    """
    every = [_candidates(scene, text) for text in texts]
    chosen: list[int | None] = [None] * len(texts)
    best, most = chosen, -1
    for rest in reversed(range(ROUNDS)):
        before = list(chosen)
        for own in range(len(texts)):
            _choose(every, chosen, own, pushing=rest > 0)
        placed = sum(len(texts) - i for i, place in enumerate(chosen) if place is not None)
        if placed > most:
            best, most = list(chosen), placed
        if chosen == before:
            break
    return [
        None if c is None else Place(boxes[c], lines[c] if _long(lines[c]) else None)
        for (boxes, lines, _), c in zip(every, best, strict=True)
    ]


def _choose(
    every: Sequence[Candidates], chosen: list[int | None], own: int, *, pushing: bool
) -> None:
    """Let a text take its best place, and if `pushing`, one from which it pushes the fewest others.

    Those it pushes away choose again when it is their turn.
    """
    boxes, lines, cost = every[own]
    others = [i for i, place in enumerate(chosen) if place is not None and i != own]
    blocked = np.zeros((len(boxes), len(others)), dtype=bool)
    if others:
        theirs = [(every[i], chosen[i]) for i in others]
        their_boxes = np.stack([each[0][c] for each, c in theirs])
        their_lines = np.stack([each[1][c] for each, c in theirs])
        blocked |= overlap(boxes, their_boxes) | crosses(their_lines, boxes).T
        blocked |= crosses(lines, their_boxes) | cross(lines, their_lines)
    total = cost + PUSHED * blocked.sum(axis=1) if pushing else np.array(cost)
    if not pushing:
        total[blocked.any(axis=1)] = math.inf
    best = int(np.argmin(total))
    chosen[own] = best if math.isfinite(total[best]) else None
    if chosen[own] is not None:
        for i, away in zip(others, blocked[best], strict=True):
            chosen[i] = None if away else chosen[i]


def _candidates(scene: Scene, text: Text) -> Candidates:
    """Return where a text may stand; of infinite cost is what covers what it must not."""
    (x, y), (width, height) = text.at, text.size
    polar = [
        (distance, angle, turn)
        for distance in DISTANCES
        if distance <= text.reach
        for turn, angle in enumerate(ANGLES)
    ]
    distances, angles, turns = (np.array(each, float) for each in zip(*polar, strict=True))
    across = np.cos(np.radians(angles))
    up = np.sin(np.radians(angles))
    ends_x, ends_y = x + across * distances * scene.scale, y + up * distances * scene.scale
    side = np.where(np.abs(across) < 0.4, 0.5, np.where(across > 0, 0.0, 1.0))
    rise = np.where(np.abs(up) < 0.4, 0.5, np.where(up > 0, 0.0, 1.0))
    left, bottom = ends_x - side * width, ends_y - rise * height
    boxes = np.stack([left, bottom, left + width, bottom + height], axis=1)
    near = distances <= NEAR
    lines = np.stack(
        [
            np.full_like(left, x),
            np.full_like(left, y),
            np.where(near, x, np.clip(x, left, left + width)),
            np.where(near, y, np.clip(y, bottom, bottom + height)),
        ],
        axis=1,
    )
    wide = boxes + PAD
    others = scene.boxes[~_holds(scene.boxes, x, y)]
    cost = distances + ANGLE * turns
    cost += COVERED * crosses(scene.bars, wide).sum(axis=0)
    cost += CROSSED * crosses(lines, others).sum(axis=1) * ~near
    cost += CROSSED / 4 * cross(lines, scene.lines).sum(axis=1) * ~near
    bad = overlap(wide, scene.boxes).any(axis=1) | crosses(scene.lines, wide).any(axis=0)
    low, high = scene.inside[:2], scene.inside[2:]
    bad |= (wide[:, :2] < low).any(axis=1) | (wide[:, 2:] > high).any(axis=1)
    cost[bad] = math.inf
    return wide, lines, cost


def _long(line: Floats) -> bool:
    return bool((line[:2] != line[2:]).any())


def _holds(boxes: Floats, x: float, y: float) -> Flags:
    found: Flags = (boxes[:, 0] <= x) & (x <= boxes[:, 2])
    return found & (boxes[:, 1] <= y) & (y <= boxes[:, 3])


def overlap(one: Floats, other: Floats) -> Flags:
    """Return (one, other): whether boxes share any area."""
    a, b = one[:, None], other[None]
    found: Flags = np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=-1)
    return found


def crosses(segments: Floats, boxes: Floats) -> Flags:
    """Return (segments, boxes): whether a segment touches a box."""
    s, b = segments[:, None], boxes[None]
    low, high = np.minimum(s[..., :2], s[..., 2:]), np.maximum(s[..., :2], s[..., 2:])
    apart = (low > b[..., 2:]).any(axis=-1) | (high < b[..., :2]).any(axis=-1)
    middle, half = (b[..., :2] + b[..., 2:]) / 2, (b[..., 2:] - b[..., :2]) / 2
    normal = np.stack([s[..., 3] - s[..., 1], s[..., 0] - s[..., 2]], axis=-1)
    distance = np.abs((normal * (s[..., :2] - middle)).sum(axis=-1))
    found: Flags = ~apart & (distance <= (np.abs(normal) * half).sum(axis=-1))
    return found


def cross(one: Floats, other: Floats) -> Flags:
    """Return (one, other): whether segments cross each other, not only at their ends."""

    def turn(a: Floats, b: Floats, c: Floats) -> Floats:
        """Return on which side of a-b the point c lies, by sign."""
        found: Floats = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1])
        return found - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])

    p, q = one[:, None, :2], one[:, None, 2:]
    r, s = other[None, :, :2], other[None, :, 2:]
    found: Flags = turn(p, q, r) * turn(p, q, s) < 0
    return found & (turn(r, s, p) * turn(r, s, q) < 0)
