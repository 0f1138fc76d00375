"""What is counted of a recipe's model for a forecast, and kept of those that sweeps train.

Counting takes seconds a model. `recipes/counted_models.json` has the models of the committed
sweeps, a line each; `benchmark forecast --all --save` writes it. Any other is counted when
it is asked for.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.cost import counts
from benchmark.recipes import build, compose
from benchmark.recipes.schema import Recipe
from datamodules.files import atomic_write

KEPT = compose.RECIPES / "counted_models.json"
CLASSES = 400  # that everything is counted with


@dataclass(frozen=True)
class Counted:
    """What is counted of a recipe's model."""

    width: int
    depth: int
    training_macs: int  # of a clip
    macs: int  # of a view, merged where it merges
    passes: int  # over the test: a second one where something merges
    parameters: int
    trained: int
    saved_bytes: int  # of a clip, for backward, in 32 bits
    head: int  # inputs of the head, if it trains: a class more is so many parameters, and a bias


def counted(recipe: Recipe, classes: int) -> Counted:
    """Return what is counted of a recipe's model; recipes of one model are counted once.

    The head is that of `classes` in parameters alone: it is a millionth of all products.
    """
    key = key_of(recipe)
    if (found := kept().get(key) or _COUNTED.get(key)) is None:
        found = _COUNTED[key] = count(recipe)
    more = (classes - CLASSES) * (found.head + 1) if found.head else 0
    return replace(found, parameters=found.parameters + more, trained=found.trained + more)


_COUNTED: dict[str, Counted] = {}


def count(recipe: Recipe) -> Counted:
    """Return what is counted of a recipe's model with a head of CLASSES, on the meta device."""
    model, size = build.meta_model(recipe, CLASSES), recipe.clip.size
    trains = any(p.requires_grad for p in model.head.parameters())
    return Counted(
        width=model.vit.embed_dim,
        depth=len(model.vit.blocks),
        training_macs=counts.training_macs(model, size=size),
        macs=counts.macs(model.merged_or_self(), size=size),
        passes=2 if model.mergeable else 1,
        parameters=counts.parameters(model),
        trained=counts.parameters(model, trained=True),
        saved_bytes=counts.saved_bytes(model, size=size),
        head=int(model.head.in_features) if trains else 0,
    )


def key_of(recipe: Recipe) -> str:
    """Return what two recipes share whose models cost the same, but for the head."""
    return json.dumps(_shape(recipe), sort_keys=True)


def _shape(recipe: Recipe) -> Any:
    b, clip = recipe.backbone, recipe.clip
    vit = {"vit": b.name, **({"options": b.options} if b.options else {})}
    shape = {**vit, "frames": clip.frames, "size": clip.size, "method": recipe.method}
    return json.loads(json.dumps(shape))  # keys that are numbers are texts, as in the file


def kept(file: Path = KEPT) -> Mapping[str, Counted]:
    """Return what is kept, by `key_of`."""
    return _kept(file, file.stat().st_mtime_ns) if file.exists() else {}


@cache
def _kept(file: Path, changed: int) -> dict[str, Counted]:
    lines = json.loads(file.read_text(encoding="utf-8"))
    return {json.dumps(each["of"], sort_keys=True): Counted(**each["is"]) for each in lines}


def keep(recipes: Iterable[Recipe], file: Path = KEPT) -> None:
    """Count the models of `recipes` anew and keep them."""
    of = {key_of(each): each for each in recipes}
    found = ({"of": _shape(of[key]), "is": asdict(count(of[key]))} for key in sorted(of))
    lines = ",\n".join(map(json.dumps, found))
    with atomic_write(file) as stream:
        stream.write(f"[\n{lines}\n]\n".encode())
