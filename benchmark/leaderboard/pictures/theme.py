"""How all pictures look: their colours on light and on dark pages, their type, their SVG."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.leaderboard.tables import Kind

INK, FAINT, GRID, PAPER = "#24292f", "#6e7781", "#e4e7eb", "#fefefe"
# Of Okabe and Ito's, which the colour-blind tell apart; then the same for dark pages.
BLUE, ORANGE, PURPLE, SKY = "#0072b2", "#d55e00", "#7f3fbf", "#56a0d3"
COLORS = BLUE, ORANGE  # of two sides
DARK = {
    **{INK: "#e6edf3", FAINT: "#8b949e", GRID: "#30363d", PAPER: "#0d1117"},
    **{BLUE: "#4aa8e8", ORANGE: "#ff8a4c", PURPLE: "#b48af0", SKY: "#8cc8f0"},
}
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


class Look(NamedTuple):
    """How a kind of method is drawn: a diamond is a baseline, a ring can't see time.

    Attributes:
        color: Of its point, its lines and its name.
        marker: Of its point.
        filled: Whether its point is.
        text: What a legend says.
    """

    color: str
    marker: str
    filled: bool
    text: str


LOOKS = {
    Kind(baseline=False, sees_time=True): Look(BLUE, "o", True, "video method, sees time"),
    Kind(baseline=False, sees_time=False): Look(ORANGE, "o", False, "control, blind to time"),
    Kind(baseline=True, sees_time=True): Look(INK, "D", True, "baseline, sees time"),
    Kind(baseline=True, sees_time=False): Look(INK, "D", False, "baseline, blind to time"),
    None: Look(PURPLE, "o", True, "other"),
}


def look(kind: Kind | None) -> Look:
    """Return how a method is drawn; None: nobody says what it is."""
    return LOOKS[kind]


def point(panel: Axes, x: float, y: float, kind: Kind | None, size: float) -> None:
    """Draw a method's point, `size` points wide."""
    own = look(kind)
    panel.plot(
        *([x], [y], own.marker),
        markersize=size * (0.85 if own.marker == "D" else 1),
        markerfacecolor=own.color if own.filled else PAPER,
        markeredgecolor=PAPER if own.filled else own.color,
        markeredgewidth=0.6 if own.filled else 1.4,
        zorder=3,
    )


def legend(figure: Figure, kinds: Iterable[Kind | None], *others: Line2D | None) -> None:
    """Say above the panels what the kinds of methods there are look like, and `others`."""
    there = set(kinds)
    shown = [own for kind, own in LOOKS.items() if kind in there]
    handles = [
        Line2D(
            *([], []),
            linestyle="none",
            marker=own.marker,
            markersize=6,
            markerfacecolor=own.color if own.filled else PAPER,
            markeredgecolor=own.color,
            label=own.text,
        )
        for own in shown
        if len(shown) > 1 or own.text != "other"
    ]
    handles += [each for each in others if each]
    if handles:
        columns = max(2, int(figure.get_figwidth() / 1.8))
        figure.legend(
            handles=handles,
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            fontsize=LABEL,
            handletextpad=0.4,
            columnspacing=1.6,
        )


def axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return new axes of a figure without a layout; all in inches, from the left and the top."""
    across, down = figure.get_figwidth(), figure.get_figheight()
    box = (left / across, 1 - (top + height) / down, width / across, height / down)
    return figure.add_axes(box)


def meaning(text: str, line: Literal["-", "--", ":"], *, there: bool = True) -> Line2D | None:
    """Return a line for a legend, None where there is none such."""
    return Line2D([], [], color=FAINT, linestyle=line, linewidth=1, label=text) if there else None


def title(table: str) -> str:
    """Return the title of a table's panel: "digits_motion · vit_digits"."""
    return table.partition("/")[2].replace("/", " · ")
