"""How all pictures look: their colours on light and on dark pages, their type, their SVG."""

import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmark.leaderboard.tables import Tables

INK, FAINT, GRID, PAPER = "#24292f", "#6e7781", "#e4e7eb", "#fefefe"
# Okabe and Ito's, which the colour-blind tell apart, and their like; then the same for dark pages.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56a0d3", "#7f3fbf", "#4d4d4d")
ON_DARK = {INK: "#e6edf3", FAINT: "#8b949e", GRID: "#30363d", PAPER: "#0d1117"}
COLORS_ON_DARK = (
    *("#4aa8e8", "#ff8a4c", "#2fc79a", "#e6a0c8", "#e0b040", "#8cc8f0", "#b48af0", "#b8b8b8"),
)
DARK = ON_DARK | dict(zip(COLORS, COLORS_ON_DARK, strict=True))
LABEL = 8.5  # points
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "benchmark",  # otherwise random: element ids would differ every time
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    **{key: INK for key in ("text.color", "axes.labelcolor", "axes.titlecolor")},
    **{key: FAINT for key in ("axes.edgecolor", "xtick.color", "ytick.color")},
    **{key: INK for key in ("xtick.labelcolor", "ytick.labelcolor")},
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, Callable[[], str]]]:
    """Give a figure of a size in inches, and a function that returns it as SVG.

    Within, everything is drawn in this theme, on no background: the page's shows through.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((width, height), facecolor="none", layout="constrained")
        FigureCanvasAgg(figure)  # measures text

        def svg() -> str:
            text, canvas = io.StringIO(), FigureCanvasSVG(figure)
            # not by `savefig`, which draws all of it once more before
            canvas.print_svg(text, metadata={"Date": None})  # type: ignore[no-untyped-call]
            return text.getvalue()

        yield figure, svg


def dark(svg: str) -> str:
    """Return a picture of this theme for a dark page."""
    for light, other in DARK.items():
        svg = svg.replace(light, other)
    return svg


def colors(found: Tables) -> dict[str, str]:
    """Return a colour for every method of a board, the same one in all of its pictures."""
    return color_of({row.method for table in found.values() for row in table})


def color_of(methods: Iterable[str]) -> dict[str, str]:
    """Return a colour for each method; with more methods than colours, some share one."""
    return dict(zip(sorted(methods), itertools.cycle(COLORS), strict=False))


def title(table: str) -> str:
    """Return the title of a table's panel: "digits_motion · vit_digits"."""
    return table.partition("/")[2].replace("/", " · ")
