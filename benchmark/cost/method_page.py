"""What every method costs at one size, counted; kept beside the recipes and shown in a page."""

import sys
from collections.abc import Sequence

from benchmark.cost.published_counts import count
from benchmark.errors import UserError
from benchmark.leaderboard.markdown import code, escape, link, rewritten, table
from benchmark.recipes import compose
from benchmark.recipes.method_list import COUNTED, GROUPS, Listed, columns, listed
from benchmark.results.published import Row
from datamodules.files import ROOT, atomic_write

VIT, FRAMES, CLASSES = "vit_b16_clip", 8, 400
PAGE = ROOT / "benchmark" / "methods" / "README.md"
BEGIN, END = "<!-- written by `benchmark list methods --count` -->\n", "<!-- end -->\n"
HEADER = f"""\
# What the recipes of methods cost at ViT-B/16 ({VIT}), {FRAMES} frames of 224 px and {CLASSES}
# classes: parameters that train, and multiply-accumulates of one view, merged where they merge.
# `benchmark list methods --count` writes it; the tests count again.
"""


def cost(name: str) -> dict[str, int]:
    """Return what a recipe of a method costs, on the meta device.

    Raises:
        UserError: it cannot be built here, for lack of an extra for instance.
    """
    row = Row(method=name, backbone=VIT, data="-", source="-", frames=FRAMES, views=1)
    found = count(row, CLASSES)
    assert found is not None
    return {"parameters": found.trained, "macs": found.macs}


def write() -> None:
    """Count every method and write what came of it; what cannot be counted here stays."""
    known, found = compose.read(COUNTED), {}
    for name in filter(_is_ours, compose.names("methods")):
        try:
            found[name] = cost(name)
        except UserError as error:
            if name in known:
                found[name] = known[name]
            print(f"{name}: {error}; left as it was", file=sys.stderr)
        else:
            print(f"{name}: {found[name]['parameters']:,} parameters", file=sys.stderr)
    lines = [
        f"{name}: {{parameters: {each['parameters']}, macs: {each['macs']}}}\n"
        for name, each in found.items()
    ]
    with atomic_write(compose.RECIPES / f"{COUNTED}.yaml") as file:
        file.write("".join([HEADER, *lines]).encode())
    ours = [each for each in listed() if _is_ours(each.name)]
    with atomic_write(PAGE) as file:
        file.write(page(PAGE.read_text(encoding="utf-8"), ours).encode())


def _is_ours(name: str) -> bool:
    return compose.is_ours(f"methods/{name}")


def page(text: str, methods: Sequence[Listed]) -> str:
    """Return the page `text` with its tables of methods written anew.

    Raises:
        UserError: it does not say where they stand.
    """
    return rewritten(text, BEGIN, END, tables(methods), PAGE.name)


def tables(methods: Sequence[Listed]) -> str:
    """Return a table of every group of methods."""
    parts = []
    for title, belongs in GROUPS.items():
        group = [each for each in methods if belongs(each)]
        (_, _, *titles), *lines = columns(group)
        rows = [
            [code(each.name), escape(each.about), link(escape(paper), each.url or None), *cells]
            for each, (_, paper, *cells) in zip(group, lines, strict=True)
        ]
        header = ["recipe", "what it is", "paper", *titles]
        parts.append(f"### {title}\n\n{table(header, rows, left=(0, 1, 2))}")
    return "\n".join(parts)
