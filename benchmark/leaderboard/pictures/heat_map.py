"""Every method on every dataset: matrices of accuracies, one of each kind of methods.

A column's shades run from its worst method to its best; what was not run is left open.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.pictures.theme import FAINT, INK, LABEL
from benchmark.leaderboard.tables import Kind, Tables, recipes

LINE, TIGHT = 0.3, 0.23  # inches, of a method; of more than MANY
MANY = 12
LETTER = 0.078  # inches, about, of a name's letter
EDGE, GAP = 0.66, 0.14  # inches, for names of columns and kinds; below a matrix
WIDEST = 11.0  # inches: two matrices stand side by side as far as that goes

Accuracy = Mapping[tuple[str, str], float]  # by method and table, in percent


def draw(found: Tables) -> str:
    """Return the picture as SVG."""
    every = {name: recipes(table) for name, table in found.items()}
    accuracy = {(r.method, name): 100 * r.top1.mean for name, table in every.items() for r in table}
    kinds = {row.method: row.kind for table in every.values() for row in table}
    total: dict[str, float] = {}
    for (method, _), top1 in accuracy.items():
        total[method] = total.get(method, 0.0) + top1
    order = sorted(total, key=lambda method: (-total[method], method))
    groups = _groups(order, kinds)
    columns = {name: theme.title(name).replace(" · ", "\n") for name in found}
    names = LETTER * max(map(len, order)) + 0.15
    letters = max(7, *(len(part) for each in columns.values() for part in each.split("\n")))
    own = LETTER * letters * len(found)
    width, line = names + own + 0.15, TIGHT if len(order) > MANY else LINE
    stacks = _stacks(groups, 2 if len(groups) > 1 and 2 * width <= WIDEST else 1)
    heights = [sum(EDGE + line * len(groups[title]) + GAP for title in stack) for stack in stacks]
    with theme.drawing(width * len(stacks), max(heights)) as (figure, svg):
        figure.set_layout_engine("none")
        for place, stack in enumerate(stacks):
            top = 0.0
            for title in stack:
                methods, left = groups[title], place * width + names
                height = line * len(methods)
                panel = theme.axes(figure, left, top + EDGE, own, height)
                _matrix(panel, methods, accuracy, columns)
                if len(groups) > 1:
                    panel.annotate(
                        title,
                        (0, 1),
                        xycoords="axes fraction",
                        xytext=(0, 34),
                        textcoords="offset points",
                        color=theme.look(kinds[methods[0]]).color,
                    )
                top += EDGE + height + GAP
        return svg()


def _stacks(groups: Mapping[str, Sequence[str]], count: int) -> list[list[str]]:
    """Return the groups in columns, each group where the fewest methods stand before it."""
    stacks: list[list[str]] = [[] for _ in range(count)]
    for title in groups:
        min(stacks, key=lambda stack: sum(len(groups[each]) + 3 for each in stack)).append(title)
    return stacks


def _groups(order: Sequence[str], kinds: Mapping[str, Kind | None]) -> dict[str, list[str]]:
    """Return the methods by what their kinds are called, in the order in which legends have them.

    Baselines stand together.
    """
    found: dict[str, list[str]] = {}
    for kind, look in theme.LOOKS.items():
        title = "baseline" if kind and kind.baseline else look.text
        if there := [method for method in order if kinds[method] == kind]:
            found.setdefault(title, []).extend(there)
    return {title: sorted(there, key=list(order).index) for title, there in found.items()}


def _matrix(
    panel: Axes, methods: Sequence[str], accuracy: Accuracy, columns: Mapping[str, str]
) -> None:
    """Draw some methods' accuracies."""
    panel.grid(False)
    for spine in panel.spines.values():
        spine.set_visible(False)
    for column, name in enumerate(columns):
        there = [accuracy[each] for each in accuracy if each[1] == name]
        low, high = min(there), max(there)
        for line, method in enumerate(methods):
            said = accuracy.get((method, name))
            text, color = ("–", FAINT) if said is None else (f"{said:.1f}", INK)
            panel.text(
                column, line, text, ha="center", va="center_baseline", fontsize=LABEL, color=color
            )
            if said is not None:
                share = 0.5 if high == low else (said - low) / (high - low)
                panel.broken_barh(
                    [(column - 0.48, 0.96)],
                    (line - 0.45, 0.9),
                    facecolor=theme.SKY,
                    alpha=0.08 + 0.52 * share,  # over whichever page it stands on
                )
    panel.set_xlim(-0.5, len(columns) - 0.5)
    panel.set_ylim(len(methods) - 0.5, -0.5)
    panel.set_xticks(range(len(columns)), list(columns.values()), parse_math=False)
    panel.set_yticks(range(len(methods)), methods, parse_math=False)
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
