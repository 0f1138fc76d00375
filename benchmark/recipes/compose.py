"""Recipes: what to run, as plain YAML merged in a fixed order.

A run is named `protocol/data/backbone/method/seedN`. Its recipe is, the last one winning,

    base < backbones/B < data/D < methods/M
         < protocols/P < protocols/P/M < protocols/P/D/B/M < overrides

where the last two files are optional, unless the protocol says `complete: true`. `schema` says what
there is and of which type; every value stands in a YAML file.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, unquote

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmark.errors import UserError, nearest
from benchmark.recipes import validation
from benchmark.recipes.name import RunName
from benchmark.recipes.schema import FREE, KEYS, SCHEMA, SECTIONS, Recipe, is_execution_key
from benchmark.recipes.validation import Layer, source_of, value_at
from datamodules.files import ROOT

RECIPES = ROOT / "recipes"
COMMAND_LINE = "command line"
AXES = {"protocol": "protocols", "data": "data", "backbone": "backbones", "method": "methods"}
PACKAGES = {
    "data": "datamodules.datasets",
    "method": "benchmark.methods",
}  # functions that take the options
LONGEST = 200  # characters in one part of a run's name, which is a file name


def names(axis: str) -> list[str]:
    """Return the names of the recipes in a folder of `recipes/`, such as "methods"."""
    return sorted(file.stem for file in (RECIPES / axis).glob("*.yaml"))


def read(file: str) -> dict[str, Any]:
    """Return what `recipes/<file>.yaml` sets.

    Raises:
        UserError: the file cannot be read as YAML keys; the line is named.
    """
    path = RECIPES / f"{file}.yaml"
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "strerror", None) or error
        raise UserError(f"recipes/{file}.yaml{line}: {problem}") from None
    except TypeError:
        raise UserError(f"recipes/{file}.yaml: holds a list, not keys") from None


@cache
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    """Return the keys in a YAML file; the runs of a sweep share most of their files."""
    layer = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    if not isinstance(layer, dict):
        raise TypeError
    return {str(key): value for key, value in layer.items()}


def parse(override: str) -> tuple[str, Any]:
    """Return key and value of an override, `key=value`.

    Raises:
        UserError: it is not of this form, or its value is not YAML.
    """
    key, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise UserError(f"{override!r} is no override: key=value, such as optim.lr=1e-3")
    if re.match(r"[^'\"{]*(?<!\$)\{\w+(:\w+)?\}", text):
        return key, text  # a pattern such as {id}.mp4: to YAML that is no text
    try:
        value = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
    except (YAMLError, OmegaConfBaseException) as error:
        problem = getattr(error, "problem", None) or error
        raise UserError(f"override {override!r}: {problem}") from None
    assert isinstance(value, dict)
    return key, value["value"]


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a run, resolved to plain values.

    Args:
        name: "protocol/data/backbone/method", where the method may carry options of its own
            ("st_adapter,width=128") and "/seedN" may follow. A scratch run's name is one, too.
        overrides: "key=value", the last one winning. What they change moves the run to scratch/,
            the seed and where it runs excepted.

    Raises:
        UserError: a name, key, value or file is wrong.
    """
    run, options, own = _split(name)
    protocol, data, backbone, method = run.protocol, run.data, run.backbone, run.method
    chosen = [*own, *map(parse, overrides)]
    for key, _ in chosen:
        if key in ("name", "complete"):
            raise UserError(
                f"{COMMAND_LINE}: {key} is not for overriding, it follows from the name"
            )
        if key in SECTIONS | FREE:
            raise UserError(f"{COMMAND_LINE}: set the keys of {key} one by one: {key}.KEY=VALUE")

    files = ["base", f"backbones/{backbone}", f"data/{data}", f"methods/{method}"]
    files += [f"protocols/{protocol}"]
    layers = [(f"recipes/{file}.yaml", read(file)) for file in files]
    files = [f"protocols/{protocol}/{method}", f"protocols/{protocol}/{data}/{backbone}/{method}"]
    found = [file for file in files if (RECIPES / f"{file}.yaml").exists()]
    if layers[-1][1].get("complete") and files[-1] not in found:
        under = RECIPES / "protocols" / protocol
        there = [f.relative_to(under).with_suffix("") for f in under.glob("*/*/*.yaml")]
        asked = f"{data}/{backbone}/{method}"
        raise UserError(f"protocol {protocol!r} has no {asked!r}{nearest(asked, map(str, there))}")
    layers += [(f"recipes/{file}.yaml", read(file)) for file in found]
    layers += [("the run's name", _nest(f"method.{key}", value)) for key, value in options]
    if run.seed is not None:
        layers.append(("the run's name", {"seed": run.seed}))
    layers += [(COMMAND_LINE, _nest(key, value)) for key, value in chosen]

    recipe = _merge(layers)
    values = asdict(recipe)
    for section, package in PACKAGES.items():
        validation.validate_options(section, package, values, layers)
    validation.validate_values(values, layers)

    own_options = {key: values["method"][key] for key, _ in options}
    changed = {
        key: value_at(values, key)
        for key, _ in chosen
        if key != "seed" and not is_execution_key(key)
    }
    parts = [f"{k}={_written(each[k])}" for each in (own_options, changed) for k in sorted(each)]
    if len(last := ",".join([method, *parts])) > LONGEST:
        cut = last[len(method) + 1 : LONGEST - 13]
        parts = [f"{cut}~{hashlib.sha256(last.encode()).hexdigest()[:12]}"]
    recipe.name = str(
        RunName(protocol, data, backbone, method, tuple(parts), recipe.seed, scratch=bool(changed))
    )
    return recipe


def restored(stored: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe that a record or a checkpoint holds, with overrides.

    Raises:
        UserError: it has a key or a value that recipes no longer have.
    """
    kept = {key: value for key, value in stored.items() if key not in ("name", "complete")}
    layers = [("the stored recipe", kept)]
    layers += [(COMMAND_LINE, _nest(key, value)) for key, value in map(parse, overrides)]
    recipe = _merge(layers)
    recipe.name = str(stored.get("name", ""))
    return recipe


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys that two recipes, as dicts, share but set differently, dotted.

    Left out are the name and what says where a run runs. A key that only one has accuses nobody:
    it came or went with the code.
    """
    found = {key: values for key, values in _differences(old, new) if not is_execution_key(key)}
    return {key: found[key] for key in sorted(found) if key != "name"}


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key in old.keys() & new.keys():
        if isinstance(old[key], Mapping) and isinstance(new[key], Mapping):
            yield from _differences(old[key], new[key], f"{prefix}{key}.")
        elif old[key] != new[key]:
            yield f"{prefix}{key}", (old[key], new[key])


def _split(name: str) -> tuple[RunName, list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Return a run's name, checked, the options of its method, and its own overrides."""
    run = RunName.parse(name)
    if "~" in "".join(run.options):
        raise UserError(f"{name!r} is cut; give protocol/data/backbone/method and its overrides")
    for axis, folder in AXES.items():
        part = getattr(run, axis)
        if part not in (there := names(folder)):
            raise UserError(f"no {axis} {part!r} in recipes/{folder}{nearest(part, there)}")
    given = [parse(unquote(each)) for each in run.options]
    own = [(key, value) for key, value in given if "." in key]  # a method's options have no dot
    return run, [(key, value) for key, value in given if "." not in key], own


def _nest(key: str, value: Any) -> dict[str, Any]:
    """Return {"a": {"b": value}} for "a.b"."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _written(value: Any) -> str:
    """Return a value as it stands in a run's name: what `parse` reads, safe in a path."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(map(_written, value))}]"
        case _:
            return quote(str(value), safe="=.+-")


def _merge(layers: Sequence[Layer]) -> Recipe:
    """Return the layers merged, checked for unknown keys and values of a wrong type."""
    values: dict[str, Any] = {}
    for source, layer in layers:
        validation.validate_keys(source, layer, KEYS, SECTIONS, FREE)
        values = _over(values, layer)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Recipe), values)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            files = ", ".join(source for source, _ in layers if source.endswith(".yaml"))
            raise UserError(f"{', '.join(missing)} is set by none of {files}")
        recipe = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = (error.full_key or "").partition("[")[0]
        source, value, kind = source_of(key, layers), value_at(values, key), SCHEMA.get(key)
        if kind is None or "${" in str(value):  # of a free section, or it refers to what is not
            raise UserError(f"{source}: {key}: {str(error).partition(chr(10))[0]}") from None
        kind = " or ".join(map(repr, get_args(kind))) if get_origin(kind) is Literal else kind
        what = kind.__name__ if isinstance(kind, type) and not get_args(kind) else kind
        raise UserError(f"{source}: {key} is {value!r}, not {what}") from None
    assert isinstance(recipe, Recipe)
    return recipe


def _over(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with `layer` over it, key by key."""
    return dict(below) | {
        key: _over(below[key], value)
        if isinstance(value, dict) and isinstance(below.get(key), dict)
        else value
        for key, value in layer.items()
    }
