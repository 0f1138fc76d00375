"""Recipes: what to run, as plain YAML merged in a fixed order.

A run is named `protocol/data/backbone/method/seedN`. Its recipe is, the last one winning,

    base < backbones/B < data/D < methods/M
         < protocols/P < protocols/P/D/all < protocols/P/M < protocols/P/D/B/M < overrides

where the last three files are optional, unless the protocol says `complete: true`. `schema` says
what there is and of which type; every value stands in a YAML file.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import asdict, replace
from functools import cache
from io import StringIO
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.lookup import external
from benchmark.recipes import tuning, validation
from benchmark.recipes.name import RunName, validate_called
from benchmark.recipes.override import parse, written
from benchmark.recipes.schema import (
    CALLED,
    FREE,
    KEYS,
    SECTIONS,
    Recipe,
    as_they_stand,
    is_execution_key,
)
from benchmark.recipes.validation import COMMAND_LINE, NAME, Layer, source_of, value_at
from datamodules.files import ROOT, display_path

RECIPES = ROOT / "recipes"
STORED = "the stored recipe"
AXES = {"protocol": "protocols", "data": "data", "backbone": "backbones", "method": "methods"}
PACKAGES = {
    "data": "datamodules.datasets",
    "method": "benchmark.methods",
}  # functions that take the options
ALL = "all"  # a protocol's file for every method on a dataset
MARKED = ("seed", "untuned")  # overrides that leave a run on the board: its name or a mark tells
LONGEST = 200  # characters in one part of a run's name, which is a file name


def names(axis: str) -> list[str]:
    """Return the names of the recipes in a folder of `recipes/`, such as "methods"."""
    files = (file for root in roots() for file in (root / axis).glob("*.yaml"))
    return sorted({file.stem for file in files if file.is_file()})


def path(file: str) -> Path:
    """Return where `recipes/<file>.yaml` lies: here, or in a folder of your own.

    Raises:
        UserError: it lies in both.
    """
    ours, *own = (root / f"{file}.yaml" for root in roots())
    if not any(each.is_file() for each in own):
        return ours
    external.demand_new(ours if ours.is_file() else None, own[0])
    return own[0]


def roots() -> list[Path]:
    """Return the folder `recipes/`, and that of your own where there is one."""
    own = external.recipes()
    return [RECIPES, own] if own else [RECIPES]


def is_ours(file: str) -> bool:
    """Return whether `recipes/<file>.yaml` does not lie in a folder of your own."""
    return path(file).is_relative_to(RECIPES)


def _shown(file: Path) -> str:
    """Return what messages call a file of a recipe."""
    ours = file.is_relative_to(RECIPES)
    return f"recipes/{file.relative_to(RECIPES)}" if ours else display_path(file)


def read(file: str) -> dict[str, Any]:
    """Return what `recipes/<file>.yaml` sets.

    Raises:
        UserError: the file cannot be read as YAML keys; the line is named.
    """
    found = path(file)
    shown = _shown(found)
    try:
        return _parsed(found.read_text(encoding="utf-8"))
    except (YAMLError, OmegaConfBaseException, OSError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "strerror", None) or error
        problem = str(problem).splitlines()[0]
        raise UserError(f"{shown}{line}: {problem}") from None
    except TypeError:
        raise UserError(f"{shown}: holds a list, not keys") from None
    except RecursionError:
        raise UserError(f"{shown}: is nested too deeply") from None


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Return the keys in a YAML file; the runs of a sweep share most of their files."""
    layer = OmegaConf.to_container(OmegaConf.load(StringIO(text)), resolve=False)
    if not isinstance(layer, dict):
        raise TypeError
    return {str(key): value for key, value in layer.items()}


def load(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a run, resolved to plain values.

    Args:
        name: "protocol/data/backbone/method", where the method may carry options of its own
            ("st_adapter,width=128") and "/seedN" may follow. A scratch run's name is one, too.
        overrides: "key=value", the last one winning. What they change moves the run to scratch/,
            the seed, where it runs, and what its data is called excepted.

    Raises:
        UserError: a name, key, value or file is wrong.
    """
    run = _run_name(name)
    layers = _files(run)
    kinds = option_kinds(layers)
    options, own = _own_overrides(run, kinds)
    parsed = [*own, *(parse(each, kinds) for each in overrides)]
    for called in ("" if value is None else str(value) for key, value in parsed if key == CALLED):
        validate_called(called)
        run = replace(run, called=called)
        layers = _files(run)  # data that has a name of its own may have files of its own
    chosen = [(key, value) for key, value in parsed if key != CALLED]
    for key, _ in chosen:
        if key in ("name", "complete"):
            raise UserError(f"{COMMAND_LINE}: {key} cannot be overridden: it follows from the name")
        if key in SECTIONS | FREE:
            raise UserError(f"{COMMAND_LINE}: set the keys of {key} one by one: {key}.KEY=VALUE")
    layers += [(NAME, _nest(f"method.{key}", value)) for key, value in options]
    if run.seed is not None:
        layers.append((NAME, {"seed": run.seed}))
    recipe = _merge([*layers, *((COMMAND_LINE, _nest(key, value)) for key, value in chosen)])
    changed = {key for key, _ in chosen if key not in MARKED and not is_execution_key(key)}
    if recipe.train.holdout:
        recipe.tuned = {}  # it is no result, and what it scores may be what was tuned on
    recipe.name = _named(run, recipe, {f"method.{key}" for key, _ in options}, changed)
    return recipe


def once_per_row() -> Callable[..., Recipe]:
    """Return what is `load` for many runs: of a row's seeds one is composed, others follow from it.

    Files may not change meanwhile. For a run whose name ends in no seed it is `load` itself.
    """
    known: dict[tuple[str, ...], Recipe] = {}

    def one(name: str, overrides: Sequence[str] = ()) -> Recipe:
        row, _, seed = name.rpartition("/seed")
        found = known.get((row, *overrides)) if seed.isdecimal() else None
        if found is not None:
            return _with_seed(found, int(seed))
        recipe = load(name, overrides)
        if seed == str(recipe.seed):  # not one that an override sets
            known[row, *overrides] = recipe
        return recipe

    return one


def _with_seed(recipe: Recipe, seed: int) -> Recipe:
    other = deepcopy(recipe)
    other.seed, other.name = seed, f"{recipe.name.rpartition('/')[0]}/seed{seed}"
    validation.validate_value("seed", seed, [(NAME, {"seed": seed})])
    return other


def stored(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a record holds it: lists, and keys of text. `restored` takes it back."""
    return dict(json.loads(json.dumps(asdict(recipe))))


def restored(stored: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe that a record or a checkpoint holds, with overrides.

    A key that came after it was stored is as base.yaml has it: as it was before there was a choice.

    Raises:
        UserError: it has a key or a value that recipes do not have, or no longer.
    """
    if not isinstance(stored, Mapping) or not isinstance(stored.get("name", ""), str):
        raise UserError(f"{STORED}: is no recipe, which has keys, and a text as its name")
    kept = {key: value for key, value in stored.items() if key not in ("name", "complete")}
    layers = [("recipes/base.yaml", read("base")), (STORED, kept)]
    parsed = [parse(each, option_kinds(layers)) for each in overrides]
    recipe = _merge([*layers, *((COMMAND_LINE, _nest(key, value)) for key, value in parsed)])
    recipe.name = str(stored.get("name", ""))
    return recipe


def own_code(recipe: Recipe) -> dict[str, str]:
    """Return the files of a folder of your own that a recipe needs, and the SHA-256 of each.

    Those beside them that start with an underscore are what they may share.
    """
    found = {}
    for axis, package in PACKAGES.items():
        if file := lookup.own_file(package, getattr(recipe, axis)["name"]):
            for each in (file, *sorted(file.parent.glob("_*.py"))):
                shown = f"{external.FOLDERS[package]}/{each.name}"
                found[shown] = hashlib.sha256(each.read_bytes()).hexdigest()
    return found


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


def option_kinds(layers: Sequence[Layer]) -> dict[str, str]:
    """Return the annotations of the options that the data and the method of `layers` take."""
    found: dict[str, str] = {}
    for section, package in PACKAGES.items():
        there = lookup.names(package)
        for _, layer in reversed(layers):
            if (name := value_at(layer, f"{section}.name")) in there:
                known = lookup.parameters(package, name)
                found |= {f"{section}.{option}": kind for option, kind in known.items()}
                break
    return found


def _run_name(name: str) -> RunName:
    """Return a run's name, checked: of every axis there is a recipe."""
    run = RunName.parse(name)
    if "~" in "".join(run.options):
        raise UserError(
            f"{name!r} is shortened: give protocol/data/backbone/method and the overrides"
        )
    for axis, folder in AXES.items():
        part = getattr(run, axis)
        if part not in (there := names(folder)):
            raise UserError(f"no {axis} {part!r} in recipes/{folder}{nearest(part, there)}")
    return run


Overrides = list[tuple[str, Any]]


def _own_overrides(run: RunName, kinds: Mapping[str, str]) -> tuple[Overrides, Overrides]:
    """Return the options of the method and the recipe's overrides that stand in a run's name."""
    method = {key.removeprefix("method."): kind for key, kind in kinds.items()}
    given = [parse(unquote(each), {**kinds, **method}) for each in run.options]
    own = [(key, value) for key, value in given if "." in key or key in KEYS]
    return [each for each in given if each not in own], own


def _files(run: RunName) -> list[Layer]:
    """Return what the files of a run set, the last one winning.

    Data that has a name of its own may have files under it, beside those of its kind. What all
    methods share on a dataset holds for its parts and few shots, too.
    """
    protocol, own = f"protocols/{run.protocol}", f"{run.data}/{run.backbone}/{run.method}"
    datasets = dict.fromkeys((run.data, run.dataset))
    whole = value_at(read(f"data/{run.data}"), "data.name")  # kinetics400 of kinetics400_tenth
    files = ["base", f"backbones/{run.backbone}", f"data/{run.data}", f"methods/{run.method}"]
    layers = [_layer(file) for file in (*files, protocol)]
    general = [f"{protocol}/{each}/{ALL}" for each in dict.fromkeys((whole, *datasets))]
    methods = [f"{protocol}/{run.method}"]
    methods += [f"{protocol}/{each}/{run.backbone}/{run.method}" for each in datasets]
    found = [file for file in methods if path(file).is_file()]
    if layers[-1][1].get("complete") and f"{protocol}/{own}" not in found:
        within = [root / protocol for root in roots()]
        there = [
            f.relative_to(each).with_suffix("") for each in within for f in each.glob("*/*/*.yaml")
        ]
        raise UserError(f"protocol {run.protocol!r} has no {own!r}{nearest(own, map(str, there))}")
    layers += [_layer(file) for file in general if path(file).is_file()]
    methods_own = [_layer(file) for file in found]
    tuning.demand_fair(layers, methods_own)
    return layers + methods_own


def _layer(file: str) -> Layer:
    return _shown(path(file)), read(file)


def _named(run: RunName, recipe: Recipe, options: Set[str], changed: Set[str]) -> str:
    """Return the name of a run: with its options and what was changed, cut where it is too long."""
    values = asdict(recipe)
    parts = [
        f"{key.removeprefix('method.')}={written(value_at(values, key))}" for key in sorted(options)
    ]
    parts += [f"{key}={written(value_at(values, key))}" for key in sorted(changed)]
    if len(last := ",".join([run.method, *parts])) > LONGEST:
        cut = last[len(run.method) + 1 : LONGEST - 13]
        parts = [f"{cut}~{hashlib.sha256(last.encode()).hexdigest()[:12]}"]
    seed, scratch = recipe.seed, bool(changed)
    return str(replace(run, options=tuple(parts), seed=seed, scratch=scratch))


def _nest(key: str, value: Any) -> dict[str, Any]:
    """Return {"a": {"b": value}} for "a.b"."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _merge(layers: Sequence[Layer]) -> Recipe:
    """Return the layers merged and checked: no key is unknown, no value missing or wrong.

    Raises:
        UserError: one is; where it stands is named.
    """
    values: dict[str, Any] = {}
    for source, layer in layers:
        validation.validate_keys(source, layer, KEYS, SECTIONS, FREE)
        if PurePath(source).parts[-3:-1] == ("recipes", "methods"):
            validation.validate_method_file(source, layer)
        values = _over(values, layer)
    recipe = as_they_stand(values) or validation.converted(values, layers)
    values = asdict(recipe)
    for section, package in PACKAGES.items():
        validation.validate_options(section, package, values, layers)
    validation.validate_values(values, layers)
    for key, space in recipe.tuning.space.items():
        tuning.demand_space(f"{source_of('tuning.space', layers)}: tuning.space.{key}", space)
    return recipe


def _over(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with `layer` over it, key by key."""
    return dict(below) | {
        key: _over(below[key], value)
        if isinstance(value, dict) and isinstance(below.get(key), dict)
        else value
        for key, value in layer.items()
    }
