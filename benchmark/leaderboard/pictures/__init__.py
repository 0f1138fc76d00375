"""The board's pictures, as SVG for light and for dark pages; same tables, same bytes."""

from itertools import islice

from benchmark.leaderboard.pages import pictured
from benchmark.leaderboard.pictures import (
    ablations,
    curves,
    heat_map,
    intervals,
    scatter,
    theme,
)
from benchmark.leaderboard.tables import PICTURED, Tables

KINDS = {
    "accuracy": scatter.draw,
    "intervals": intervals.draw,
    "curves": curves.draw,
    "heat_map": heat_map.draw,
    "ablations": ablations.draw,
}


def draw(found: Tables) -> dict[str, str]:
    """Return the pictures of a board by file name: NAME.svg, and NAME-dark.svg for dark pages.

    They show the first `PICTURED` tables, as the page says: of more no panel could be read. A
    board without ablations has no picture of them.
    """
    found = dict(islice(found.items(), PICTURED))
    light = {name: KINDS[name](found) for name in pictured(found)}
    files = {f"{name}.svg": svg for name, svg in light.items()}
    return files | {f"{name}-dark.svg": theme.dark(svg) for name, svg in light.items()}
