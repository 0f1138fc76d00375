"""Ablations: each recipe as it stands, and below it its rows with an option changed, by accuracy.

A panel per recipe and table; the dotted line is the recipe's accuracy.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.intervals import ceiling_meaning, draw_row, name_lines
from benchmark.leaderboard.pictures.theme import FAINT
from benchmark.leaderboard.tables import Row, Tables, ablations, order_blind_ceiling

WIDTH = 5.6  # inches, of a panel
LINE = 0.25  # inches, of a row
EDGES = 1.0  # inches, for title and axis


def draw(found: Tables) -> str:
    """Return the picture as SVG; some table has ablations."""
    panels = [
        (f"{recipe} · {theme.title(table)}", [row for row in rows if row.method == recipe] + own)
        for table, rows in found.items()
        for recipe, own in ablations(rows).items()
    ]
    panels.sort(key=lambda each: -len(each[1]))  # beside each other are those of a height
    columns = min(2, len(panels))
    lines = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [EDGES + LINE * max(len(rows) for _, rows in line) for line in lines]
    with theme.drawing(WIDTH * columns, sum(heights)) as (figure, svg):
        own = theme.meaning("the recipe as it stands", ":")
        theme.legend(figure, [], own, ceiling_meaning(found))
        grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
        for line, beside in zip(lines, grid, strict=True):
            for panel in beside[len(line) :]:
                panel.set_axis_off()
            for panel, (title, rows) in zip(beside, line, strict=False):
                _panel(panel, title, rows, max(len(each) for _, each in line))
        return svg()


def _panel(panel: Axes, title: str, rows: Sequence[Row], lines: int) -> None:
    first = rows[0]
    if not first.ablation:
        panel.axvline(100 * first.top1.mean, color=FAINT, linestyle=":", linewidth=1, zorder=0)
    if (ceiling := order_blind_ceiling(rows)) is not None:
        panel.axvline(100 * ceiling, color=FAINT, linestyle="--", linewidth=1, zorder=0)
    kind = (first.recipe or first).kind
    for place, row in enumerate(rows):
        draw_row(panel, place, row, kind)
    names = [row.method.partition(",")[2] if row.ablation else row.method for row in rows]
    name_lines(panel, names, [kind if row is first else None for row in rows])
    for text, row in zip(panel.get_yticklabels(), rows, strict=True):
        text.set_color(theme.INK)
        text.set_fontweight("normal" if row.ablation else "bold")
    panel.set_ylim(lines - 0.5, -0.7)
    panel.set_title(title, fontsize=10, parse_math=False)
    panel.set_xlabel("top-1 accuracy (%)")
