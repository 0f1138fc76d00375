"""Methods by accuracy: a dot per seed, their mean, its 95 % interval, and the interval of ranks."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.theme import FAINT, INK, LABEL
from benchmark.leaderboard.tables import Kind, Row, Tables, order_blind_ceiling, recipes

WIDTH = 5.6  # inches, of a panel
LINE, TIGHT = 0.27, 0.205  # inches, of a method; of more than MANY
MANY = 20
EDGES = 1.0  # inches, for title and axis


def draw(found: Tables) -> str:
    """Return the picture as SVG: a panel per table, the best method on top."""
    columns = min(2, len(found))
    tables = [(name, recipes(table)) for name, table in found.items()]
    lines = [tables[i : i + columns] for i in range(0, len(tables), columns)]
    most = [max(len(table) for _, table in line) for line in lines]
    heights = [EDGES + count * (TIGHT if count > MANY else LINE) for count in most]
    with theme.drawing(WIDTH * columns, sum(heights)) as (figure, svg):
        kinds = {row.kind for _, table in tables for row in table}
        theme.legend(figure, kinds, ceiling_meaning(found))
        panels = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
        for line, count, beside in zip(lines, most, panels, strict=True):
            for panel in beside[len(line) :]:
                panel.set_axis_off()
            for panel, (name, table) in zip(beside, line, strict=False):
                _panel(panel, name, table, count)
        return svg()


def _panel(panel: Axes, name: str, table: Sequence[Row], lines: int) -> None:
    for place, row in enumerate(table):
        draw_row(panel, place, row, row.kind)
        if row.ranks is not None:
            _beside(panel, place, str(row.ranks), LABEL, INK)
    if any(row.ranks is not None for row in table):
        _beside(panel, -0.9, "rank", LABEL - 1, FAINT)
    if (ceiling := order_blind_ceiling(table)) is not None:
        panel.axvline(100 * ceiling, color=FAINT, linestyle="--", linewidth=1, zorder=0)
    name_lines(panel, [row.method for row in table], [row.kind for row in table])
    panel.set_ylim(max(lines, len(table)) - 0.5, -1.2)
    panel.set_title(theme.title(name), fontsize=10, parse_math=False)
    panel.set_xlabel("top-1 accuracy (%)")


def ceiling_meaning(found: Tables) -> Line2D | None:
    """Return what the dashed line means, None where no table has one."""
    there = any(order_blind_ceiling(table) is not None for table in found.values())
    return theme.meaning("the most of who is blind to time", "--", there=there)


def draw_row(panel: Axes, place: float, row: Row, kind: Kind | None) -> None:
    """Draw a row's seeds, its mean and its interval at a height of a panel."""
    color = theme.look(kind).color
    if row.interval is not None:
        low, high = (100 * each for each in row.interval)
        panel.plot([low, high], [place, place], color=color, linewidth=2, alpha=0.7, zorder=2)
    seeds = [100 * run.metrics.top1 for run in row.records]
    panel.plot(seeds, [place] * len(seeds), "|", color=color, markersize=8, zorder=2)
    theme.point(panel, 100 * row.top1.mean, place, kind, 6)


def name_lines(panel: Axes, names: Sequence[str], kinds: Sequence[Kind | None]) -> None:
    """Write the rows' names on the left of a panel, in the colours of their kinds."""
    small = 8 if len(names) > MANY else None
    panel.set_yticks(range(len(names)), names, parse_math=False, fontsize=small)
    for text, kind in zip(panel.get_yticklabels(), kinds, strict=True):
        text.set_color(theme.look(kind).color)
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)


def _beside(panel: Axes, place: float, text: str, size: float, color: str) -> None:
    panel.annotate(
        text,
        (1, place),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=size,
        color=color,
    )
