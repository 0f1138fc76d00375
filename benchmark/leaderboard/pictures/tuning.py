"""Tuning: accuracy on the holdout against the learning rate, and the best of n trials expected.

A line of two panels per table, a line per method; diverged trials count as accuracy 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.theme import PAPER
from benchmark.leaderboard.statistics.expected_best import expected_best
from benchmark.results.tuning import Evidence, means

PANEL = 5.0, 3.2  # inches


def draw(tables: Mapping[str, Sequence[Evidence]]) -> str:
    """Return the picture as SVG.

    Args:
        tables: "protocol/data/backbone" -> the evidence of its methods.
    """
    methods = {method_of(each) for table in tables.values() for each in table}
    colors = theme.color_of(methods)
    with theme.drawing(2 * PANEL[0], PANEL[1] * len(tables)) as (figure, svg):
        panels = figure.subplots(len(tables), 2, squeeze=False)
        for (rates, best), (name, table) in zip(panels, tables.items(), strict=True):
            for each in table:
                _rates(rates, each, colors[method_of(each)])
                _best(best, each, colors[method_of(each)])
            for panel in (rates, best):
                panel.set_title(theme.title(name), fontsize=10, parse_math=False)
                panel.set_ylim(bottom=0)
                panel.set_ylabel("top-1 of the holdout (%)")
            if _is_log(table[0].space[first_key(table)]):
                rates.set_xscale("log")
            rates.set_xlabel(f"{first_key(table)} (◆ chosen)", parse_math=False)
            best.set_xlabel("expected of the best of so many trials")
            best.xaxis.set_major_locator(MaxNLocator(integer=True))
            best.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        return svg()


def method_of(evidence: Evidence) -> str:
    """Return the method that a piece of evidence is of."""
    return evidence.name.rpartition("/")[2]


def first_key(table: Sequence[Evidence]) -> str:
    """Return the key that stands on the axis: the first one of the space."""
    return next(iter(table[0].space))


def _is_log(space: Any) -> bool:
    return isinstance(space, Mapping) and space.get("scale", "log") == "log"


def _rates(panel: Axes, evidence: Evidence, color: str) -> None:
    key = first_key([evidence])
    found = [(settings[key], 100 * (top1 or 0)) for settings, top1 in means(evidence.trials)]
    tried = sorted(found) if isinstance(evidence.space[key], Mapping) else found
    panel.plot(*zip(*tried, strict=True), color=color, linewidth=1.2, marker=".", markersize=5)
    panel.plot(
        evidence.chosen[key],
        100 * evidence.top1,
        "D",
        color=color,
        markeredgecolor=PAPER,
        markersize=7,
    )


def _best(panel: Axes, evidence: Evidence, color: str) -> None:
    scores = [100 * (top1 or 0) for _, top1 in means(evidence.trials)]
    numbers = range(1, len(scores) + 1)
    panel.plot(
        numbers,
        [expected_best(scores, n) for n in numbers],
        color=color,
        linewidth=1.2,
        marker=".",
        markersize=5,
        label=method_of(evidence).replace("$", r"\$"),  # the legend would read mathematics
    )
