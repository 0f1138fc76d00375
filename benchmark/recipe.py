"""Recipes: what to run, as plain YAML merged in a fixed order.

A run is named `protocol/data/backbone/method/seedN`. Its recipe is, the last one winning,

    base < backbones/B < data/D < methods/M
         < protocols/P < protocols/P/M < protocols/P/D/B/M < overrides

where the last two files are optional, unless the protocol says `complete: true`. The dataclasses
say what there is and of which type; every value stands in a YAML file.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import quote, unquote

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmark import check
from benchmark.check import Layer, at, place
from benchmark.errors import UserError, nearest

RECIPES = Path(__file__).parents[1] / "recipes"
COMMAND_LINE = "command line"
AXES = {"protocol": "protocols", "data": "data", "backbone": "backbones", "method": "methods"}
PACKAGES = {"data": "datamodules", "method": "benchmark.methods"}  # functions that take the options
LONGEST = 200  # characters in one part of a run's name, which is a file name


@dataclass
class Backbone:
    """A timm image ViT and its weights."""

    name: str = MISSING  # of the timm model
    weights: str = MISSING  # "timm", "random", or a file: absolute or relative to recipes/backbones
    options: dict[str, Any] = field(default_factory=dict)  # more arguments of timm.create_model
    mean: list[float] = MISSING  # per channel, of pixels in 0..1
    std: list[float] = MISSING


@dataclass
class Clip:
    """What is sampled from a video."""

    frames: int = MISSING
    sampling: str = MISSING  # a function in datamodules/_clips.py
    interval: int = MISSING  # frames of the video from one of the clip to the next; dense only
    seconds: float | None = MISSING  # length of a clip, for the samplings that count in seconds
    size: int = MISSING  # pixels, both sides
    interpolation: Literal["bilinear", "bicubic"] = MISSING  # of every resize


@dataclass
class RandAugment:
    """RandAugment, the same operations on all frames of a clip."""

    operations: int = MISSING  # per clip; 0: none
    magnitude: float = MISSING  # 0 to 10
    std: float = MISSING  # of the magnitude, drawn anew per operation
    probability: float = MISSING  # of each operation
    when: Literal["before", "after"] = MISSING  # the crop
    library: Literal["pytorchvideo", "timm"] = MISSING  # whose operations


@dataclass
class Erasing:
    """Random erasing: one rectangle of a clip, the same in all frames, loses its picture."""

    probability: float = MISSING
    fill: Literal["zero", "grey", "noise"] = MISSING  # normalised 0, pixel value 128, pixel noise


@dataclass
class Augment:
    """How training clips are varied, in this order unless said otherwise."""

    short_side: list[int] | None = MISSING  # least and most pixels of the shorter side, drawn
    randaugment: RandAugment = field(default_factory=RandAugment)
    crop: Literal["resized", "plain"] = MISSING  # a part by scale and ratio; or of the clip's size
    scale: list[float] = MISSING  # least and largest share of the area that is cropped
    ratio: list[float] = MISSING  # least and largest width over height of the crop
    flip: float = MISSING  # probability; a dataset whose labels have sides forbids it
    lighting: float = MISSING  # standard deviation of AlexNet's shift of colours; 0: none
    erasing: Erasing = field(default_factory=Erasing)
    mixup: float = MISSING  # alpha of the Beta distribution of the shares of two clips; 0: none
    cutmix: float = MISSING  # likewise; where both are above 0 each pair draws which


@dataclass
class Train:
    """How a model is trained."""

    epochs: int = MISSING
    batch: int = MISSING  # clips per step, over all devices
    holdout: float = MISSING  # share of the training split held out for tuning; 0: a final run
    label_smoothing: float = MISSING
    head_dropout: float = MISSING
    augment: Augment = field(default_factory=Augment)


@dataclass
class Test:
    """How a model is tested."""

    batch: int = MISSING  # clips per forward pass
    clips: int = MISSING  # per video
    crops: int = MISSING  # per clip: 1 or 3
    sampling: str | None = MISSING  # null: as clip.sampling
    short_side: int | None = MISSING  # pixels before the crop; null: clip.size
    broken: Literal["stop", "wrong"] = MISSING  # a video that cannot be decoded


@dataclass
class Optim:
    """AdamW with a linear warm-up into a cosine decay."""

    lr: float = MISSING
    head_lr: float | None = MISSING  # null: lr
    weight_decay: float = MISSING
    no_decay: list[str] = MISSING  # "vectors" (of one dimension), or parts of parameters' names
    betas: list[float] = MISSING
    warmup: float = MISSING  # epochs
    warmup_start: float = MISSING  # share of the rate that the warm-up starts at
    schedule: Literal["step", "epoch"] = MISSING  # how often the cosine falls; a warm-up: per step


@dataclass
class Trainer:
    """Where and how precisely Lightning's Trainer computes."""

    accelerator: str = MISSING
    devices: int = MISSING
    num_nodes: int = MISSING
    strategy: str = MISSING
    precision: str = MISSING


@dataclass
class Save:
    """How often a run saves what it goes on from, besides at the end of every epoch."""

    steps: int | None = MISSING  # of the optimiser
    minutes: float | None = MISSING


@dataclass
class Slurm:
    """What a run asks of Slurm, besides its devices and nodes."""

    partition: str | None = MISSING
    account: str | None = MISSING
    qos: str | None = MISSING
    constraint: str | None = MISSING
    hours: float = MISSING  # a run that needs longer saves, and is queued again
    cpus: int | None = MISSING  # per device; null: as many as `workers`, and one
    memory: int | None = MISSING  # GiB per node
    at_once: int = MISSING  # runs of a sweep


@dataclass
class Wandb:
    """The window on a run; offline unless logged in."""

    enabled: bool = MISSING
    project: str = MISSING


@dataclass
class Recipe:
    """One run. `data` and `method` name a function; the rest of them are its keyword arguments."""

    backbone: Backbone = field(default_factory=Backbone)
    data: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    clip: Clip = field(default_factory=Clip)
    train: Train = field(default_factory=Train)
    test: Test = field(default_factory=Test)
    optim: Optim = field(default_factory=Optim)
    trainer: Trainer = field(default_factory=Trainer)
    save: Save = field(default_factory=Save)
    slurm: Slurm = field(default_factory=Slurm)
    wandb: Wandb = field(default_factory=Wandb)
    decoder: Literal["pyav", "torchcodec"] = MISSING
    cache: bool = MISSING  # keep decoded videos on disk, for all runs; for small datasets
    workers: int = MISSING  # processes that load data, per device
    max_batch_per_device: int | None = MISSING  # clips at once; a larger batch is accumulated
    seed: int = MISSING
    complete: bool = False  # of a protocol: only runs that have a file of their own
    name: str = ""  # set by `load`


def _keys(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key of a dataclass and of the dataclasses in it, with its type."""
    hints = get_type_hints(schema)
    for each in fields(schema):
        kind = hints[each.name]
        yield f"{prefix}{each.name}", kind
        if is_dataclass(kind):
            yield from _keys(kind, f"{prefix}{each.name}.")


SCHEMA = dict(_keys(Recipe))
SECTIONS = {key for key, kind in SCHEMA.items() if is_dataclass(kind)}
FREE = {"backbone.options", "data", "method"}  # what stands in these, functions say
KEYS = SCHEMA.keys() - SECTIONS - FREE - {"name", "complete"}


def is_place(key: str) -> bool:
    """Return whether `key` says where a run runs, not what it is."""
    devices = ("accelerator", "devices", "num_nodes", "strategy")
    return key in (
        "workers",
        "cache",
        "max_batch_per_device",
        "data.root",
        "data.videos",
        *(f"trainer.{each}" for each in devices),
    ) or key.startswith(("wandb.", "slurm.", "save."))


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
    axes, options, own, seed = _split(name)
    protocol, data, backbone, method = axes.values()
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
        run = f"{data}/{backbone}/{method}"
        raise UserError(f"protocol {protocol!r} has no {run!r}{nearest(run, map(str, there))}")
    layers += [(f"recipes/{file}.yaml", read(file)) for file in found]
    layers += [("the run's name", _nest(f"method.{key}", value)) for key, value in options]
    if seed is not None:
        layers.append(("the run's name", {"seed": seed}))
    layers += [(COMMAND_LINE, _nest(key, value)) for key, value in chosen]

    recipe = _merge(layers)
    values = asdict(recipe)
    for section, package in PACKAGES.items():
        check.options(section, package, values, layers)
    check.values(values, layers)

    own_options = {key: values["method"][key] for key, _ in options}
    changed = {key: at(values, key) for key, _ in chosen if key != "seed" and not is_place(key)}
    parts = [f"{k}={_written(each[k])}" for each in (own_options, changed) for k in sorted(each)]
    last = ",".join([method, *parts])
    if len(last) > LONGEST:
        last = f"{last[: LONGEST - 13]}~{hashlib.sha256(last.encode()).hexdigest()[:12]}"
    scratch = "scratch/" if changed else ""
    recipe.name = f"{scratch}{protocol}/{data}/{backbone}/{last}/seed{recipe.seed}"
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
    found = {key: values for key, values in _differences(old, new) if not is_place(key)}
    return {key: found[key] for key in sorted(found) if key != "name"}


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key in old.keys() & new.keys():
        if isinstance(old[key], Mapping) and isinstance(new[key], Mapping):
            yield from _differences(old[key], new[key], f"{prefix}{key}.")
        elif old[key] != new[key]:
            yield f"{prefix}{key}", (old[key], new[key])


def _split(
    name: str,
) -> tuple[dict[str, str], list[tuple[str, Any]], list[tuple[str, Any]], int | None]:
    """Return a run's name per axis, the options of its method, its own overrides, its seed."""
    parts = name.removeprefix("scratch/").strip("/").split("/")
    seed = re.fullmatch(r"seed(\d+)", parts[4]) if len(parts) == 5 else None
    if len(parts) != 4 and not seed:
        raise UserError(f"{name!r} is no run's name: protocol/data/backbone/method or .../seedN")
    parts[3], *rest = re.split(r",(?![^\[]*\])", parts[3])  # commas, except within [ ]
    if "~" in "".join(rest):
        raise UserError(f"{name!r} is cut; give protocol/data/backbone/method and its overrides")
    axes = dict(zip(AXES, parts, strict=False))
    for axis, part in axes.items():
        if part not in (there := names(AXES[axis])):
            raise UserError(f"no {axis} {part!r} in recipes/{AXES[axis]}{nearest(part, there)}")
    given = [parse(unquote(each)) for each in rest]
    own = [(key, value) for key, value in given if "." in key]  # a method's options have no dot
    options = [(key, value) for key, value in given if "." not in key]
    return axes, options, own, int(seed[1]) if seed else None


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
        check.keys(source, layer, KEYS, SECTIONS, FREE)
        values = _over(values, layer)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Recipe), values)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            files = ", ".join(source for source, _ in layers if source.endswith(".yaml"))
            raise UserError(f"{', '.join(missing)} is set by none of {files}")
        recipe = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = (error.full_key or "").partition("[")[0]
        source, value, kind = place(key, layers), at(values, key), SCHEMA.get(key)
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
