"""The board's pictures, as SVG for light and dark pages; the same tables give the same bytes."""

from collections.abc import Callable, Sequence

from benchmark.leaderboard.pictures import curves, heat_map, intervals, scatter, theme
from benchmark.leaderboard.tables import Row, Tables

KINDS: dict[str, tuple[str, Callable[[Tables], str | None]]] = {
    "accuracy": ("top-1 accuracy against tunable parameters", scatter.draw),
    "intervals": ("top-1 accuracy of each method, its seeds and its interval", intervals.draw),
    "curves": ("training curves", curves.draw),
    "heat_map": ("top-1 accuracy of every method on every dataset", heat_map.draw),
}


def draw(found: Tables) -> dict[str, str]:
    """Return the pictures by file name: NAME.svg, and NAME-dark.svg for dark pages.

    What `found` has nothing to show of is left out: a heat map of one dataset, say.
    """
    files = {}
    for name, (_, kind) in KINDS.items():
        if (light := kind(found)) is not None:
            files |= {f"{name}.svg": light, f"{name}-dark.svg": theme.dark(light)}
    return files
