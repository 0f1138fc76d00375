"""Datasets by the names of their recipes, without a run around them: for what is done to videos."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark import check, lookup, recipe
from benchmark.errors import UserError, nearest

if TYPE_CHECKING:
    from datamodules._data import Data


def load(name: str, overrides: Sequence[str] = ()) -> "Data":
    """Return the dataset of `recipes/data/<name>.yaml`.

    Args:
        name: Of the recipe.
        overrides: "data.KEY=VALUE", the last one winning.

    Raises:
        UserError: a name, key or value is wrong, or the files are not what they should be.
    """
    if name not in (there := recipe.names("data")):
        raise UserError(f"no data {name!r} in recipes/data{nearest(name, there)}")
    file = f"data/{name}"
    layers: list[check.Layer] = [(f"recipes/{file}.yaml", recipe.read(file))]
    data: dict[str, Any] = dict(layers[0][1].get("data", {}))
    for key, value in map(recipe.parse, overrides):
        section, _, option = key.partition(".")
        if section != "data" or not option:
            raise UserError(f"{recipe.COMMAND_LINE}: {key} is not of the data, such as data.root")
        layers.append((recipe.COMMAND_LINE, {"data": {option: value}}))
        data[option] = value
    check.options("data", "datamodules", {"data": data}, layers)
    found: Data = lookup.call("datamodules", data)
    return found


def split(
    words: Sequence[str], known: Mapping[str, int] | None = None
) -> tuple[list[str], list[str], dict[str, int]]:
    """Sort the words of a command: names of data, overrides of data, and the command's own numbers.

    Args:
        words: As typed.
        known: The command's own keys, with the numbers they have if they are not given.

    Raises:
        UserError: there is no name, or a key is unknown or no number above 0.
    """
    names, overrides, numbers = [], [], dict(known or {})
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            names.append(word)
        elif key.startswith("data."):
            overrides.append(word)
        elif key not in numbers:
            raise UserError(
                f"{recipe.COMMAND_LINE}: unknown key {key!r}{nearest(key, [*numbers, 'data.root'])}"
            )
        elif not text.isdecimal() or int(text) < 1:
            raise UserError(f"{recipe.COMMAND_LINE}: {key} is {text!r}, not a number above 0")
        else:
            numbers[key] = int(text)
    if not names:
        raise UserError(f"name the data, one of recipes/data: {', '.join(recipe.names('data'))}")
    return names, overrides, numbers
