"""Check what stands in recipes, and tell in which file a mistake is."""

import math
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.recipes.schema import LARGEST, METADATA, SCHEMA, Recipe

Layer = tuple[str, dict[str, Any]]  # where it stands, and what it sets
NAME, COMMAND_LINE = "the run's name", "command line"  # where what is in no file stands

ABSENT = "???"  # OmegaConf's word for a value that is not there
COUNTS = {2: "two", 3: "three"}
BOUNDS = {"least": operator.ge, "above": operator.gt, "most": operator.le, "below": operator.lt}
PYTORCHVIDEO = 14  # operations its RandAugment has; each is drawn once at most


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key, ABSENT if there is none."""
    value: Any = values
    for part in key.split("."):
        value = value.get(part, ABSENT) if isinstance(value, Mapping) else ABSENT
    return value


def source_of(key: str, layers: Sequence[Layer]) -> str:
    """Return where a dotted key was set last."""
    return next(
        (source for source, layer in reversed(layers) if value_at(layer, key) != ABSENT), "-"
    )


def validate_keys(
    source: str,
    layer: Mapping[str, Any],
    known: Collection[str],
    sections: Collection[str],
    free: Collection[str],
    prefix: str = "",
) -> None:
    """Check a layer for keys that do not exist.

    Args:
        source: Where the layer stands.
        layer: What it sets.
        known: The dotted keys of values.
        sections: The dotted keys of what has keys of its own.
        free: The dotted keys of what has keys that are not ours to know.
        prefix: Of the layer's keys.

    Raises:
        UserError: one does not exist, or is a section and has a value.
    """
    for part, value in layer.items():
        key = f"{prefix}{part}"
        if key in sections and isinstance(value, dict):
            validate_keys(source, value, known, sections, free, f"{key}.")
        elif (key in sections or key in free) and not isinstance(value, dict):
            raise UserError(f"{source}: {key} holds keys of its own, not the value {value!r}")
        elif key not in known and key not in free:
            if key == "complete" and "protocols/" in source:
                continue
            elsewhere = {each for each in known if each.endswith(f".{part}")}
            level = {each for each in {*known, *sections, *free} if each.startswith(prefix)}
            beside = {each for each in level if each.count(".") == key.count(".")}
            raise UserError(f"{source}: unknown key {key!r}{nearest(key, elsewhere or beside)}")


def converted(values: Mapping[str, Any], layers: Sequence[Layer]) -> Recipe:
    """Return the recipe that OmegaConf makes of values.

    Raises:
        UserError: one is missing or wrong; where it stands is named.
    """
    try:
        merged = OmegaConf.merge(_unset(), values)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            files = ", ".join(each for each, _ in layers if each not in (NAME, COMMAND_LINE))
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


@cache
def _unset() -> DictConfig:
    """Return a recipe of which no value is set; what merges into it copies it."""
    return OmegaConf.structured(Recipe)


def validate_options(
    section: str, package: str, values: Mapping[str, Any], layers: Sequence[Layer]
) -> None:
    """Check a section against the signature of the function of `package` that it names.

    Raises:
        UserError: there is no such function, or it does not take what the section holds.
    """
    given = dict(values[section])
    function = given.pop("name", None)
    if function is None:
        raise UserError(f"{section}.name is set by none of the files")
    try:
        known = lookup.parameters(package, str(function))
    except UserError as error:
        raise UserError(
            f"{source_of(f'{section}.name', layers)}: {section}.name: {error}"
        ) from None
    for option, value in given.items():
        key = f"{section}.{option}"
        if option not in known:
            tail = nearest(key, (f"{section}.{each}" for each in known))
            raise UserError(f"{source_of(key, layers)}: unknown key {key!r}{tail}")
        if not lookup.accepts(known[option], value):
            raise UserError(f"{source_of(key, layers)}: {key} is {value!r}, not {known[option]}")
        validate_numbers(key, value, layers)


def validate_numbers(key: str, value: Any, layers: Sequence[Layer]) -> None:
    """Check the numbers in the value of a key that is not ours to know.

    Raises:
        UserError: one is not finite, or beyond all counting.
    """
    for fine, what in (
        (_finite(value), "a finite number"),
        (_countable(value), f"between {-LARGEST} and {LARGEST}"),
    ):
        if not fine:
            raise UserError(f"{source_of(key, layers)}: {key} is {value!r}, not {what}")


def validate_method_file(source: str, layer: Mapping[str, Any]) -> None:
    """Check that a method's recipe sets what belongs to a method: all else is the protocol's.

    Raises:
        UserError: it sets another section's key, or the seed.
    """
    if others := sorted(layer.keys() - {"method"}):
        raise UserError(
            f"{source}: sets {others[0]!r}, and a method's file sets only keys of 'method'; how it "
            "is trained stands in recipes/protocols/PROTOCOL/METHOD.yaml"
        )


def validate_values(values: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    """Check what a type cannot say.

    Raises:
        UserError: a value is out of its range, or does not go with another.
    """

    def demand(key: str, fine: bool, what: str) -> None:
        if not fine:
            raise UserError(
                f"{source_of(key, layers)}: {key} is {value_at(values, key)!r}, not {what}"
            )

    for key in METADATA:
        validate_value(key, value_at(values, key), layers)
    for option, value in values["backbone"]["options"].items():
        validate_numbers(f"backbone.options.{option}", value, layers)
    known = lookup.functions("datamodules.loading.clip_sampling")
    for key in ("clip.sampling", "test.sampling"):
        name = value_at(values, key)
        if name is not None and name not in known:
            raise UserError(f"{source_of(key, layers)}: no {key} {name!r}{nearest(name, known)}")
    for key, fine, what in _agreements(values):
        demand(key, fine, what)


def validate_value(key: str, value: Any, layers: Sequence[Layer]) -> None:
    """Check what a key's type cannot say of its value.

    Raises:
        UserError: the value is out of its range.
    """

    def demand(fine: bool, what: str) -> None:
        if not fine:
            raise UserError(f"{source_of(key, layers)}: {key} is {value!r}, not {what}")

    if value is None or isinstance(value, Mapping):
        return
    said = METADATA[key]
    if "choices" in said and value not in said["choices"]:
        raise UserError(
            f"{source_of(key, layers)}: {key} is {value!r}{nearest(value, said['choices'])}"
        )
    demand(_finite(value), "a finite number")
    demand(_in_range(value, said), range_of(said))
    if not {"most", "below"} & said.keys():
        demand(_countable(value), f"at most {LARGEST}")


def _agreements(values: Mapping[str, Any]) -> Iterator[tuple[str, bool, str]]:
    """Yield keys that others bound: the key, whether it is within them, and what would be right."""
    clip, train, test, optim = (values[each] for each in ("clip", "train", "test", "optim"))
    size = clip["size"]
    side = test["short_side"]
    yield "test.short_side", side is None or side >= size, f"at least {size}, which is clip.size"
    epochs = train["epochs"]
    yield "optim.warmup", optim["warmup"] <= epochs, f"at most {epochs}, which is train.epochs"
    drops = optim["drops"]
    within = drops == sorted(drops) and all(0 < each < epochs for each in drops)
    yield "optim.drops", within, f"rising, above 0 and below {epochs}, which is train.epochs"
    moves = optim["momentum"] > 0 or not optim["nesterov"]
    yield "optim.nesterov", moves, "false, which goes with optim.momentum=0"
    yield "trainer.devices", values["trainer"]["devices"] != 0, "at least 1, or -1: all there are"
    rand = train["augment"]["randaugment"]
    few = rand["library"] != "pytorchvideo" or rand["operations"] <= PYTORCHVIDEO
    most = f"at most {PYTORCHVIDEO}, which pytorchvideo has"
    yield "train.augment.randaugment.operations", few, most


def range_of(said: Mapping[str, Any]) -> str:
    """Return in words what a key takes, from what is said of it: "at least 1"."""
    match said:
        case {"choices": choices}:
            words = f"{', '.join(choices[:-1])} or {choices[-1]}"
        case {"least": low, "most": high}:
            words = f"between {low} and {high}"
        case _:
            named = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
            words = " and ".join(f"{named[each]} {said[each]}" for each in named if each in said)
    if "length" not in said:
        return words
    rising = ", the first not above the second" if said.get("rising") else ""
    return f"{COUNTS[said['length']]} numbers{', each ' if words else ''}{words}{rising}"


def _in_range(value: Any, said: Mapping[str, Any]) -> bool:
    numbers = value if "length" in said else [value]
    if "length" in said and len(numbers) != said["length"]:
        return False
    if said.get("rising") and numbers != sorted(numbers):
        return False
    return all(
        holds(each, said[bound])
        for bound, holds in BOUNDS.items()
        if bound in said
        for each in numbers
    )


def _finite(value: Any) -> bool:
    """Return whether all numbers in a value are finite."""
    return all(math.isfinite(each) for each in _plain(value) if isinstance(each, float))


def _countable(value: Any) -> bool:
    """Return whether all whole numbers in a value are of things that can be counted."""
    return all(abs(each) <= LARGEST for each in _plain(value) if isinstance(each, int))


def _plain(value: Any) -> Iterator[Any]:
    """Yield the values in lists and mappings, however deep."""
    if isinstance(value, Mapping):
        value = [*value.values()]
    if isinstance(value, list):
        for each in value:
            yield from _plain(each)
    else:
        yield value
