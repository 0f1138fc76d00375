"""Check what stands in recipes, and tell in which file a mistake is."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.recipes.schema import METADATA

Layer = tuple[str, dict[str, Any]]  # where it stands, and what it sets

ABSENT = "???"  # OmegaConf's word for a value that is not there
COUNTS = {2: "two", 3: "three"}


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


def validate_values(values: Mapping[str, Any], layers: Sequence[Layer]) -> None:
    """Check what a type cannot say.

    Raises:
        UserError: a value is out of its range.
    """

    def demand(key: str, fine: bool, what: str) -> None:
        if not fine:
            raise UserError(
                f"{source_of(key, layers)}: {key} is {value_at(values, key)!r}, not {what}"
            )

    for key, said in METADATA.items():
        value = value_at(values, key)
        if value is None:
            continue
        match said:
            case {"least": least, "most": most}:
                demand(key, least <= value <= most, f"between {least} and {most}")
            case {"least": least}:
                demand(key, value >= least, f"at least {least}")
            case {"length": length}:
                demand(key, len(value) == length, f"{COUNTS[length]} numbers")
    known = lookup.functions("datamodules.loading.clip_sampling")
    for key in ("clip.sampling", "test.sampling"):
        name = value_at(values, key)
        if name is not None and name not in known:
            raise UserError(f"{source_of(key, layers)}: no {key} {name!r}{nearest(name, known)}")
    demand(
        "train.holdout", value_at(values, "train.holdout") < 1, "less than 1: none is left to train"
    )
