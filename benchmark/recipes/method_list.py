"""The methods, recipe by recipe, as lists and pages show them: paper, claims, cost at one size.

What a recipe is, and whose, its comment says; what its method claims, the method's file. What it
costs is counted once and kept in `recipes/counted.yaml`.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmark.errors import UserError
from benchmark.lookup.method_facts import MethodFacts, method_facts
from benchmark.recipes import compose
from datamodules.files import display_path

COUNTED = "counted"  # the file of recipes/
CITATION = re.compile(r"\((?:[^()]*, )?([^(),]+), (\d{4})\)")
ADDRESS = re.compile(r"https://\S*[^\s,:;.)]")
# What methods are measured against: nothing is added to the ViT but what full fine-tuning needs.
BASELINES = ("full", "linear_probe", "partial")


class Listed(NamedTuple):
    """A recipe of a method.

    Attributes:
        name: Of the recipe.
        about: What it is, a sentence.
        authors, year, url: Of its paper; empty where it has none.
        baseline: Whether it is what others are measured against.
        facts: What its method claims.
        parameters: How many train at ViT-B/16, 8 frames of 224 px and 400 classes, the head
            included; None where this was not counted yet.
        macs: Multiply-accumulates of one view there, merged if it merges.
    """

    name: str
    about: str
    authors: str
    year: str
    url: str
    baseline: bool
    facts: MethodFacts
    parameters: int | None
    macs: int | None

    @property
    def paper(self) -> str:
        """Return authors and year."""
        return f"{self.authors}, {self.year}" if self.year else ""


GROUPS: dict[str, Callable[[Listed], bool]] = {
    "Video methods, which see the order of frames": lambda m: m.facts.sees_time and not m.baseline,
    "Controls, which do not": lambda m: not m.facts.sees_time and not m.baseline,
    "Baselines": lambda m: m.baseline,
}
FACTS = {  # titles of columns
    "time": "sees_time",
    "merges": "merges",
    "frozen start": "starts_frozen",
    "through ViT": "backpropagates",
}
LEGEND = """\
time: sees the order of frames; merges: folds into the frozen layers; frozen start: begins as the
frozen model; through ViT: gradients pass its blocks; parameters and GMACs: that train, the head
included, and of one view, at ViT-B/16, 8 frames of 224 px, 400 classes, merged where it merges"""


def listed() -> list[Listed]:
    """Return every recipe of a method.

    Raises:
        UserError: a recipe names no method, or a method's file does not say what it does.
    """
    counted = compose.read(COUNTED)
    return [_listed(name, counted.get(name) or {}) for name in compose.names("methods")]


def _listed(name: str, counted: dict[str, int]) -> Listed:
    method = compose.read(f"methods/{name}").get("method")
    if not isinstance(method, dict) or not isinstance(method.get("name"), str):
        file = display_path(compose.path(f"methods/{name}"))
        raise UserError(f"{file}: names no method, as method: {{name: aim}} does")
    said = comment(f"methods/{name}")
    cited, address = CITATION.search(said), ADDRESS.search(said)
    return Listed(
        name,
        about=sentence(said),
        authors=cited[1] if cited else "",
        year=cited[2] if cited else "",
        url=address[0] if address else "",
        baseline=method["name"] in BASELINES,
        facts=method_facts(method),
        parameters=counted.get("parameters"),
        macs=counted.get("macs"),
    )


def comment(file: str) -> str:
    """Return the comment that a recipe opens with, on one line."""
    lines = []
    text = compose.path(file).read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def sentence(said: str) -> str:
    """Return the first sentence of a recipe's comment, without whose paper it is."""
    bare = re.sub(rf",? ?{ADDRESS.pattern}", "", CITATION.sub("", said))
    return re.sub(r" +([,:;.])", r"\1", " ".join(bare.split())).partition(". ")[0].rstrip(".")


def columns(methods: Sequence[Listed]) -> list[list[str]]:
    """Return a line of texts for each of `methods`, and before them the titles."""
    lines = [["recipe", "paper", *FACTS, "parameters", "GMACs"]]
    for each in methods:
        facts = ["yes" if getattr(each.facts, fact) else "-" for fact in FACTS.values()]
        parameters = "?" if each.parameters is None else f"{each.parameters:,}"
        macs = "?" if each.macs is None else f"{each.macs / 1e9:.1f}"
        lines.append([each.name, each.paper or "-", *facts, parameters, macs])
    return lines
