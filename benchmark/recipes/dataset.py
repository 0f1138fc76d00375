"""Datasets by the names of their recipes, without a run around them: for what is done to videos."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.recipes import compose, validation
from benchmark.recipes.override import parse
from benchmark.recipes.schema import Recipe
from datamodules.identity import DataIdentity, identify

if TYPE_CHECKING:
    from datamodules.dataset_info import DatasetInfo


def load(name: str, overrides: Sequence[str] = ()) -> "DatasetInfo":
    """Return the dataset of `recipes/data/<name>.yaml`.

    Args:
        name: Of the recipe.
        overrides: "data.KEY=VALUE", the last one winning.

    Raises:
        UserError: a name, key or value is wrong, or the files are not what they should be.
    """
    if name not in (there := compose.names("data")):
        raise UserError(f"no data {name!r} in recipes/data{nearest(name, there)}")
    file = f"data/{name}"
    layers: list[validation.Layer] = [(f"recipes/{file}.yaml", compose.read(file))]
    data: dict[str, Any] = dict(layers[0][1].get("data", {}))
    kinds = compose.option_kinds(layers)
    for key, value in (parse(each, kinds) for each in overrides):
        section, _, option = key.partition(".")
        if section != "data" or not option:
            raise UserError(
                f"{validation.COMMAND_LINE}: {key} is not of the data, such as data.root"
            )
        layers.append((validation.COMMAND_LINE, {"data": {option: value}}))
        data[option] = value
    validation.validate_options("data", compose.PACKAGES["data"], {"data": data}, layers)
    found: DatasetInfo = lookup.call(compose.PACKAGES["data"], data)
    return found


Lister = Callable[[Mapping[str, Any]], DataIdentity | None]


def lister() -> Lister:
    """Return what tells which data a recipe's `data` is today, and lists every dataset once.

    It returns None of data that the code draws, which are what the recipe says wherever they lie,
    and raises a UserError where the data cannot be listed: they are not here, say.
    """

    @cache
    def identified(options: str) -> DataIdentity:
        return identify(lookup.call(compose.PACKAGES["data"], json.loads(options)))

    def ask(options: Mapping[str, Any]) -> DataIdentity | None:
        if lookup.fact(compose.PACKAGES["data"], options["name"], "DRAWN"):
            return None
        return identified(json.dumps(options, sort_keys=True))

    return ask


def clips_of(recipe: Recipe) -> str:
    """Return what a recipe asks for of training clips: runs alike in it are given the same ones."""
    train = recipe.train
    asked = {
        **{"data": recipe.data, "clip": asdict(recipe.clip), "augment": asdict(train.augment)},
        **{"holdout": train.holdout, "seed": recipe.seed, "decoder": recipe.decoder},
    }
    return json.dumps(asked, sort_keys=True)


def num_classes(options: Mapping[str, Any]) -> int:
    """Return how many classes the dataset has that a recipe's `data` names.

    The file of a standard dataset says so (`CLASSES`), and is not looked for on the disk.

    Raises:
        UserError: only the data can tell, and it is not there.
    """
    declared = lookup.fact(compose.PACKAGES["data"], options["name"], "CLASSES")
    if isinstance(declared, Mapping):
        declared = declared.get(options.get("task"))
    if declared is None:
        return len(lookup.call(compose.PACKAGES["data"], options).classes)
    return int(declared)
