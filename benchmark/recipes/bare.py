"""A method or a backbone by its recipe alone, read where there is no omegaconf.

A bare machine has torch and timm, and with timm a reader of YAML: enough to build a model, not to
merge recipes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark import lookup
from benchmark.errors import UserError, nearest
from datamodules.files import ROOT

RECIPES = ROOT / "recipes"
METHODS = "benchmark.methods"


def method(said: str) -> dict[str, Any]:
    """Return the options of a method, its function's name among them.

    Args:
        said: Of a file in recipes/methods, or of a method itself; options may follow it, such as
            `st_adapter,width=128`.

    Raises:
        UserError: there is no such method, or it has no such option.
    """
    name, *options = _parts(said)
    there = _names("methods")
    if name in there:
        found = _read("methods", name)["method"]
    elif name in lookup.names(METHODS):
        found = {"name": name}
    else:
        raise UserError(f"no method {name!r}{nearest(name, there)}")
    kinds = lookup.parameters(METHODS, found["name"])
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or key not in kinds:
            raise UserError(f"{said}: {found['name']} has no option {key!r}{nearest(key, kinds)}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if not lookup.accepts(kinds[key], value):
            raise UserError(f"{said}: {key} is {text!r}, not {kinds[key]}")
        found[key] = value
    return found


def methods() -> list[str]:
    """Return the names of all recipes of methods."""
    return _names("methods")


def backbone(name: str) -> Mapping[str, Any]:
    """Return what recipes/backbones says of a backbone: timm's name of it, its options.

    Raises:
        UserError: there is no such recipe.
    """
    if name not in (there := _names("backbones")):
        raise UserError(f"no backbone {name!r}{nearest(name, there)}")
    found: dict[str, Any] = _read("backbones", name)["backbone"]
    return found


def _names(folder: str) -> list[str]:
    return sorted(file.stem for file in (RECIPES / folder).glob("*.yaml"))


def _read(folder: str, name: str) -> dict[str, Any]:
    file: Path = RECIPES / folder / f"{name}.yaml"
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        return {folder[:-1]: dict(found[folder[:-1]])}
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        said = str(error).splitlines()[0]
        raise UserError(f"recipes/{folder}/{name}.yaml: {said}") from None


def _parts(said: str) -> list[str]:
    """Return what stands between commas, but for those in brackets."""
    parts, depth = [""], 0
    for letter in said:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
