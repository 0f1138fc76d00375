"""Two rows head to head: the accuracy of each on every class, sorted by how much they differ."""

from benchmark.leaderboard.comparison import Comparison, difference_text, largest
from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.theme import COLORS, FAINT, PAPER

WIDTH = 7.2  # inches
LINE = 0.24  # inches, of a class
EDGES = 1.5  # inches, for title, legend and axis
SIZES = 90, 34  # square points: where both are equally right the first is a ring


def draw(found: Comparison) -> str:
    """Return the picture as SVG: a line per class, the one the first gains most on on top."""
    gains = largest(found.gains)
    with theme.drawing(WIDTH, EDGES + LINE * len(gains)) as (figure, svg):
        panel = figure.subplots()
        for place, each in enumerate(gains):
            ends = [100 * accuracy for accuracy in each.accuracies]
            panel.plot(ends, [place, place], color=FAINT, linewidth=1.5, zorder=1)
        for side, name in enumerate(found.names):
            panel.scatter(
                [100 * each.accuracies[side] for each in gains],
                range(len(gains)),
                color=COLORS[side],
                edgecolor=PAPER,
                s=SIZES[side],
                label=name.replace("$", r"\$"),
                zorder=2,
            )
        panel.set_yticks(range(len(gains)), [each.name for each in gains], parse_math=False)
        panel.set_ylim(len(gains) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
        panel.set_xlabel("top-1 accuracy of each class (%)")
        panel.set_title(f"top-1: {difference_text(found.difference)}", fontsize=9)
        figure.legend(loc="outside upper left", frameon=False, fontsize=theme.LABEL)
        return svg()
