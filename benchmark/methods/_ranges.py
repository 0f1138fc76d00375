"""What the numbers of several methods have in common: the range that they may be in."""

from collections.abc import Sequence
from fractions import Fraction


def demand_share(option: str, value: float) -> None:
    """Check a probability of leaving something out.

    Raises:
        ValueError: it is not at least 0 and below 1.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{option} is {value}, not at least 0 and below 1")


def demand_size(option: str, value: int) -> None:
    """Check how many there are of something that the method consists of.

    Raises:
        ValueError: there is none.
    """
    if value < 1:
        raise ValueError(f"{option} is {value}, not at least 1")


def demand_known(
    option: str, values: Sequence[str], known: Sequence[str], *, some: bool = False
) -> None:
    """Check a choice of names.

    Args:
        option: whose choice it is.
        values: what was chosen.
        known: what there is to choose from.
        some: whether nothing is no choice.

    Raises:
        ValueError: one is not known, or none is chosen where some must be.
    """
    if (unknown := sorted(set(values) - set(known))) or (some and not values):
        raise ValueError(f"{option} has {unknown or 'nothing'}; there are {', '.join(known)}")


def width_of(ratio: float | Fraction, dim: int) -> int:
    """Return the width of an adapter that is `ratio` times as wide as a ViT of width `dim`.

    Raises:
        ValueError: it has none.
    """
    if (width := int(ratio * dim)) < 1:
        raise ValueError(f"ratio is {ratio}, not at least 1/{dim}, of an adapter of width 1")
    return width
