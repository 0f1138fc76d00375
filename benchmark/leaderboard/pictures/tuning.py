"""Tuning: accuracy on the holdout against the learning rate, and the best of n trials expected.

Of each table a small panel per method, in which the chosen value is marked, and below them one with
a line per method. Diverged trials count as accuracy 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from benchmark.leaderboard.pictures import line_ends, theme
from benchmark.leaderboard.pictures.curves import BEST, DASHES, FEW
from benchmark.leaderboard.pictures.theme import FAINT, PAPER
from benchmark.leaderboard.statistics.expected_best import expected_best
from benchmark.leaderboard.tables import Kind, kind_of
from benchmark.results.tuning import Evidence, means

WIDTH = 9.6  # inches
EDGES = 0.65, 0.15  # inches, left and right of panels
TITLE, AXIS = 0.36, 0.46  # inches, above and below panels
LEGEND = 0.35  # inches
CELL = 1.9, 0.98  # inches, the widest panel of a method; how high it is
ACROSS, LETTER = 7, 0.058  # panels in a line; inches, about, of a letter of a name above one
CURVES, NAMES = 2.6, 1.9  # inches, the height of expected bests; what their names take beside them


def draw(tables: Mapping[str, Sequence[Evidence]]) -> str:
    """Return the picture as SVG.

    Args:
        tables: "protocol/data/backbone" -> the evidence of its methods.
    """
    heights = [_height(found) for found in tables.values()]
    with theme.drawing(WIDTH, LEGEND + sum(heights)) as (figure, svg):
        figure.set_layout_engine("none")
        theme.legend(figure, [_kind(each) for found in tables.values() for each in found])
        top = LEGEND
        for (name, found), height in zip(tables.items(), heights, strict=True):
            _table(figure, top, name, _ordered(found))
            top += height
        return svg()


def method_of(evidence: Evidence) -> str:
    """Return the method that a piece of evidence is of."""
    return evidence.name.rpartition("/")[2]


def first_key(table: Sequence[Evidence]) -> str:
    """Return the key that stands on the axis: the first one of the space."""
    return next(iter(table[0].space))


def _kind(evidence: Evidence) -> Kind | None:
    return kind_of(evidence.recipe.get("method"))


def _ordered(table: Sequence[Evidence]) -> list[Evidence]:
    """Return the evidence by kind, in the order in which legends have them, the best first."""
    kinds = list(theme.LOOKS)
    return sorted(table, key=lambda each: (kinds.index(_kind(each)), -each.top1, method_of(each)))


def _across(table: Sequence[Evidence]) -> int:
    """Return how many panels stand in a line, so that no name meets the next one."""
    longest = LETTER * max(len(method_of(each)) for each in table)
    return max(1, min(ACROSS, len(table), int((WIDTH - sum(EDGES)) / longest)))


def _height(table: Sequence[Evidence]) -> float:
    lines = -(-len(table) // _across(table))
    return TITLE + lines * CELL[1] + AXIS + TITLE + CURVES + AXIS


def _table(figure: Figure, top: float, name: str, table: Sequence[Evidence]) -> None:
    """Draw a table's panels, `top` inches below the figure's top."""
    key, across = first_key(table), _across(table)
    lines = -(-len(table) // across)
    width = min(CELL[0], (WIDTH - sum(EDGES)) / across)
    title = f"{theme.title(name)}: {key}, ◆ chosen"
    figure.text(
        *(EDGES[0] / WIDTH, 1 - (top + 0.2) / figure.get_figheight(), title),
        fontsize=10,
        va="center",
        parse_math=False,
    )
    cells = _cells(figure, top + TITLE, len(table), across, width)
    values = [settings[key] for each in table for settings, _ in means(each.trials)]
    for place, (panel, each) in enumerate(zip(cells, table, strict=True)):
        _rates(panel, each)
        panel.set_ylim(0, 112)
        panel.set_yticks([0, 50, 100])
        if _is_log(each.space[first_key([each])]):
            panel.set_xscale("log")
            panel.set_xlim(min(values) / 1.7, max(values) * 2.2)
            panel.xaxis.set_major_locator(LogLocator(numticks=4))
            panel.xaxis.set_minor_locator(NullLocator())
        panel.tick_params(length=2, labelsize=7)
        if place % across:
            panel.tick_params(labelleft=False)
        if place + across < len(table):
            panel.tick_params(labelbottom=False)
    below = top + TITLE + lines * CELL[1] + AXIS + TITLE
    _expected(theme.axes(figure, EDGES[0], below, WIDTH - EDGES[0] - NAMES, CURVES), name, table)


def _cells(figure: Figure, top: float, count: int, across: int, width: float) -> Iterator[Axes]:
    for place in range(count):
        line, column = divmod(place, across)
        left, down = EDGES[0] + column * width, top + line * CELL[1]
        yield theme.axes(figure, left + 0.03, down + 0.16, width - 0.06, CELL[1] - 0.22)


def _is_log(space: Any) -> bool:
    return isinstance(space, Mapping) and space.get("scale", "log") == "log"


def _rates(panel: Axes, evidence: Evidence) -> None:
    key, color = first_key([evidence]), theme.look(_kind(evidence)).color
    found = [(settings[key], 100 * (top1 or 0)) for settings, top1 in means(evidence.trials)]
    tried = sorted(found) if isinstance(evidence.space[key], Mapping) else found
    panel.plot(*zip(*tried, strict=True), color=color, linewidth=1, marker=".", markersize=3.5)
    panel.plot(
        evidence.chosen[key],
        100 * evidence.top1,
        "D",
        color=color,
        markeredgecolor=PAPER,
        markersize=5.5,
    )
    name = method_of(evidence)
    panel.set_title(name, fontsize=7, pad=2, color=color, loc="left", parse_math=False)


def _expected(panel: Axes, name: str, table: Sequence[Evidence]) -> None:
    """Draw the accuracy to expect of the best of n trials, of few methods all named."""
    scores = {
        method_of(each): [100 * (top1 or 0) for _, top1 in means(each.trials)] for each in table
    }
    ends, drawn = [], dict[object, int]()
    for each in table:
        own, look = scores[method_of(each)], theme.look(_kind(each))
        numbers = range(1, len(own) + 1)
        best = [expected_best(own, n) for n in numbers]
        count = drawn.get(look, 0)
        drawn[look] = count + 1
        if len(table) > FEW and count >= BEST:
            panel.plot(numbers, best, color=FAINT, linewidth=0.7, alpha=0.45, zorder=1)
            continue
        dash = DASHES[count % len(DASHES)]
        panel.plot(numbers, best, color=look.color, linewidth=1.4, linestyle=dash)
        ends.append(line_ends.End(numbers[-1], best[-1], method_of(each), look.color))
    panel.set_ylim(bottom=0)
    panel.set_title(theme.title(name), fontsize=10, loc="left", parse_math=False)
    panel.set_xlabel("expected of the best of so many trials")
    panel.set_ylabel("top-1 of the holdout (%)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.margins(x=0.02)
    line_ends.label(panel, ends)
