"""Methods by accuracy: a dot per seed, their mean, its 95 % interval, and the interval of ranks."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.theme import FAINT, INK, LABEL, PAPER
from benchmark.leaderboard.tables import Row, Tables, order_blind_ceiling

WIDTH = 5.6  # inches, of a panel
LINE = 0.27  # inches, of a method
EDGES = 1.0  # inches, for title and axis


def draw(found: Tables) -> str:
    """Return the picture as SVG: a panel per table, the best method on top."""
    columns = min(2, len(found))
    tables = list(found.items())
    lines = [tables[i : i + columns] for i in range(0, len(tables), columns)]
    heights = [EDGES + LINE * max(len(table) for _, table in line) for line in lines]
    colors = theme.colors(found)
    with theme.drawing(WIDTH * columns, sum(heights)) as (figure, svg):
        panels = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
        for line, beside in zip(lines, panels, strict=True):
            for panel in beside[len(line) :]:
                panel.set_axis_off()
            for panel, (name, table) in zip(beside, line, strict=False):
                _panel(panel, name, table, colors)
        return svg()


def _panel(panel: Axes, name: str, table: Sequence[Row], colors: dict[str, str]) -> None:
    for place, row in enumerate(table):
        color = colors[row.method]
        if row.interval is not None:
            low, high = (100 * each for each in row.interval)
            panel.plot([low, high], [place, place], color=color, linewidth=2.2, alpha=0.8)
        seeds = [100 * run.metrics.top1 for run in row.records]
        panel.plot(seeds, [place] * len(seeds), "|", color=color, markersize=9)
        mean = 100 * row.top1.mean
        panel.plot(mean, place, "o", color=color, markeredgecolor=PAPER, markersize=6)
        if row.ranks is not None:
            panel.annotate(
                str(row.ranks),
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=LABEL,
                color=INK,
            )
    if any(row.ranks is not None for row in table):
        panel.annotate(
            "rank",
            (1, -0.9),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=LABEL - 1,
            color=FAINT,
        )
    if (ceiling := order_blind_ceiling(table)) is not None:
        panel.axvline(100 * ceiling, color=FAINT, linestyle="--", linewidth=1, zorder=0)
    panel.set_yticks(range(len(table)), [row.method for row in table], parse_math=False)
    panel.set_ylim(len(table) - 0.5, -1.2)
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.set_title(theme.title(name), fontsize=10, parse_math=False)
    panel.set_xlabel("top-1 accuracy (%)")
