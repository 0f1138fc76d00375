"""Every method on every dataset: a matrix of accuracies, with what was not run left open."""

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.theme import FAINT, INK, LABEL
from benchmark.leaderboard.tables import Tables

CELL = 1.5, 0.3  # inches
EDGES = 2.2, 1.0  # inches, for names


def draw(found: Tables) -> str:
    """Return the picture as SVG."""
    accuracy = {
        (row.method, name): 100 * row.top1.mean for name, table in found.items() for row in table
    }
    best: dict[str, float] = {}
    for (method, _), top1 in accuracy.items():
        best[method] = best.get(method, 0.0) + top1
    methods = sorted(best, key=lambda method: (-best[method], method))
    size = EDGES[0] + CELL[0] * len(found), EDGES[1] + CELL[1] * len(methods)
    with theme.drawing(*size) as (figure, svg):
        panel = figure.subplots()
        panel.grid(False)
        for spine in panel.spines.values():
            spine.set_visible(False)
        for column, name in enumerate(found):
            there = [accuracy[each] for each in accuracy if each[1] == name]
            low, high = min(there), max(there)
            for line, method in enumerate(methods):
                said = accuracy.get((method, name))
                text, color = ("–", FAINT) if said is None else (f"{said:.1f}", INK)
                panel.text(
                    column, line, text, ha="center", va="center", fontsize=LABEL, color=color
                )
                if said is not None:
                    share = 0.5 if high == low else (said - low) / (high - low)
                    panel.broken_barh(
                        [(column - 0.48, 0.96)],
                        (line - 0.45, 0.9),
                        facecolor=theme.COLORS[5],
                        alpha=0.08 + 0.52 * share,  # over whichever page it stands on
                    )
        panel.set_xlim(-0.5, len(found) - 0.5)
        panel.set_ylim(len(methods) - 0.5, -0.5)
        names = [theme.title(name).replace(" · ", "\n") for name in found]
        panel.set_xticks(range(len(found)), names, parse_math=False)
        panel.set_yticks(range(len(methods)), methods, parse_math=False)
        panel.xaxis.tick_top()
        panel.tick_params(length=0)
        return svg()
