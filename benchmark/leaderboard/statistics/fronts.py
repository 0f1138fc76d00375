"""Which rows nothing beats on two columns at once."""

from collections.abc import Sequence
from typing import Literal

Direction = Literal["higher", "lower"]  # whether a higher or a lower value is better
Cell = float | None  # None: missing


def pareto_front(
    first: Sequence[Cell], second: Sequence[Cell], directions: tuple[Direction, Direction]
) -> list[bool | None]:
    """Return of each row whether it is on the Pareto front of two columns.

    It is unless some row is better in one column and no worse in the other; equal rows are on it
    together.

    Args:
        first: A column's values, a row each.
        second: Another's.
        directions: Of both.

    Returns:
        None: a row that lacks one of both, and so beats nothing and can't be beaten.

    Raises:
        ValueError: the columns are of different lengths.
    """
    signs = [1 if direction == "higher" else -1 for direction in directions]
    points = [
        None if one is None or two is None else (signs[0] * one, signs[1] * two)
        for one, two in zip(first, second, strict=True)
    ]
    best: dict[float, float] = {}  # the second's, of rows at least as good in the first
    reached = float("-inf")
    for one, two in sorted((point for point in points if point is not None), reverse=True):
        if two > reached:
            best[one] = reached = two
    return [None if point is None else best.get(point[0]) == point[1] for point in points]
