"""Training curves: a panel per table, a line per method, the mean over its seeds."""

import math
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.tables import Row, Tables

PANEL = 5.6, 3.2  # inches


def draw(found: Tables) -> str:
    """Return the picture as SVG."""
    columns = min(2, len(found))
    rows, colors = math.ceil(len(found) / columns), theme.colors(found)
    with theme.drawing(PANEL[0] * columns, PANEL[1] * rows) as (figure, svg):
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for panel, (name, table) in zip(panels, found.items(), strict=False):
            _panel(panel, name, table, colors)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        return svg()


def curve(row: Row) -> list[tuple[int, float]]:
    """Return a row's points: an epoch from 1, the mean accuracy on training clips (fraction).

    Epochs that not every seed knows are left out.
    """
    seen: dict[int, list[float]] = {}
    for run in row.records:
        for point in run.train.curve:
            if point.top1 is not None:
                seen.setdefault(point.epoch + 1, []).append(point.top1)
    whole = {epoch: each for epoch, each in seen.items() if len(each) == len(row.records)}
    return [(epoch, fmean(whole[epoch])) for epoch in sorted(whole)]


def _panel(panel: Axes, name: str, table: Sequence[Row], colors: dict[str, str]) -> None:
    for row in table:
        if points := curve(row):
            xs, ys = zip(*points, strict=True)
            panel.plot(
                xs,
                [100 * y for y in ys],
                color=colors[row.method],
                linewidth=1.2,
                marker="o" if len(xs) == 1 else None,
                label=row.method.replace("$", r"\$"),  # the legend would read mathematics
            )
    panel.set_title(theme.title(name), fontsize=10, parse_math=False)
    panel.set_xlabel("epoch")
    panel.set_ylabel("top-1 of training clips (%)")
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.get_lines():
        panel.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
