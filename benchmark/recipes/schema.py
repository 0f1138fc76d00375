"""What a recipe may say: every key, its type, its range, and whether it says what or only where.

Every value stands in a YAML file: MISSING is what none has set yet. What a type cannot say stands
in the field's metadata, here and in `datamodules.transforms.settings`:

    least, most     the range of a number, both included; no whole number is above LARGEST
    above, below    the range of a number, these themselves excluded
    length          how many numbers a list has; its range is that of each
    rising          of such a list: no number is less than the one before
    choices         all the words there are
    where           says where and how a run runs, not what it is; of a section: all of its keys
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING

from datamodules.transforms.settings import Augment

LARGEST = (
    2**31 - 1
)  # of whole numbers of which nothing else is said: beyond is no count of anything


def _set(**said: Any) -> Any:
    """Return a field that files set, with what its type cannot say."""
    return field(default=MISSING, metadata=said)


@dataclass
class Backbone:
    """A timm image ViT and its weights."""

    name: str = MISSING  # of the timm model
    weights: str = MISSING  # "timm", "random", or a file: absolute or relative to recipes/backbones
    options: dict[str, Any] = field(default_factory=dict)  # more arguments of timm.create_model
    mean: list[float] = field(  # of pixels in 0..1
        default=MISSING, metadata={"length": 3, "least": 0, "most": 1}
    )
    std: list[float] = field(default=MISSING, metadata={"length": 3, "above": 0, "most": 1})


@dataclass
class Clip:
    """What is sampled from a video."""

    frames: int = _set(least=1)
    sampling: str = MISSING  # a function in datamodules/loading/clip_sampling.py
    interval: int = _set(least=1)  # frames of the video from one of the clip to the next
    seconds: float | None = _set(above=0)  # length of a clip, for samplings that count in seconds
    size: int = _set(least=1)  # pixels, both sides; a multiple of the backbone's patch
    interpolation: Literal["bilinear", "bicubic"] = MISSING  # of every resize


@dataclass
class Train:
    """How a model is trained."""

    epochs: int = _set(least=1)
    batch: int = _set(least=1)  # clips per step, over all devices
    holdout: float = _set(least=0, below=1)  # share of train held out for tuning; 0: a final run
    label_smoothing: float = _set(least=0, below=1)
    drop_last: bool = MISSING  # clips that do not fill an epoch's last step; else it is smaller
    head_dropout: float = _set(least=0, below=1)
    head_std: float | None = _set(least=0)  # that its weights start with; null: as torch's Linear
    lean: bool = MISSING  # less memory: norms and activations are computed again for backward
    augment: Augment = MISSING


@dataclass
class Test:
    """How a model is tested."""

    batch: int = _set(least=1)  # clips per forward pass
    clips: int = _set(least=1)  # per video
    crops: Literal[1, 3] = MISSING  # per clip
    sampling: str | None = MISSING  # null: as clip.sampling
    short_side: int | None = _set(least=1)  # pixels before the crop, from clip.size on; null: that
    broken: Literal["stop", "wrong"] = MISSING  # a video that cannot be decoded


@dataclass
class Optim:
    """AdamW or SGD, with a linear warm-up into a cosine decay."""

    algorithm: Literal["adamw", "sgd"] = MISSING
    lr: float = _set(above=0)
    head_lr: float | None = _set(above=0)  # null: lr
    layer_decay: float = _set(above=0, most=1)  # of the rate, from each block to the one before
    weight_decay: float = _set(least=0)
    no_decay: list[str] = MISSING  # "vectors" (of one dimension), or parts of parameters' names
    betas: list[float] = field(default=MISSING, metadata={"length": 2, "least": 0, "below": 1})
    momentum: float = _set(least=0, below=1)  # SGD's
    nesterov: bool = MISSING  # SGD's
    warmup: float = _set(least=0)  # epochs, at most all of them
    warmup_start: float = _set(least=0, most=1)  # share of the rate that the warm-up starts at
    schedule: Literal["step", "epoch"] = MISSING  # how often the cosine falls; a warm-up: per step
    drops: list[float] = MISSING  # epochs from which on the rate is a tenth, without a cosine


@dataclass
class Tuning:
    """What is chosen per method, on videos held out of training (`benchmark.recipes.tuning`)."""

    trials: int = _set(least=0)  # of every method; 0: nothing is tuned
    seeds: list[int] = MISSING  # a trial is run with each of them
    epochs: float = _set(above=0, most=1)  # of a trial: share of train.epochs
    holdout: float = _set(above=0, below=1)  # as train.holdout of a trial
    space: dict[str, Any] = field(default_factory=dict)  # a key -> a range, or a list of values


STRATEGIES = (  # those of Lightning's for which every rank starts as a process of its own
    *("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"),
    "fsdp",  # `benchmark.training.fsdp`
)
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")  # clips are made in 32 bits


@dataclass
class Trainer:
    """Where and how precisely Lightning's Trainer computes."""

    accelerator: str = _set(choices=("auto", "cpu", "gpu", "cuda", "mps"), where=True)
    devices: int = _set(least=-1, where=True)  # per node; -1: all there are
    num_nodes: int = _set(least=1, where=True)
    strategy: str = _set(choices=STRATEGIES, where=True)
    precision: str = _set(choices=PRECISIONS)


@dataclass
class Save:
    """What a run saves: what it goes on from, besides at the end of every epoch, and scores."""

    steps: int | None = _set(least=1)  # of the optimiser
    minutes: float | None = _set(least=0)
    scores: bool = MISSING  # of all classes for every test video, beside the record, out of git


@dataclass
class Patience:
    """How many seconds are waited for what may never come."""

    read: float | None = _set(above=0)  # for a video that a loader worker reads; null: for ever
    step: float = _set(above=0)  # for a step of a run, or ten times its longest if that is more
    stalled: Literal["tell", "restart"] = MISSING  # what is done of a run without one for so long


@dataclass
class Sharing:
    """What decoded clips may take of memory: for all runs of a sweep on a machine, and in a run."""

    gib: float = _set(least=0)  # at most half of what is free; 0: nothing is shared or kept


@dataclass
class Slurm:
    """What a run asks of Slurm, besides its devices and nodes."""

    partition: str | None = MISSING
    account: str | None = MISSING
    qos: str | None = MISSING
    constraint: str | None = MISSING
    hours: float = _set(above=0)  # a run that needs longer saves, and is queued again
    cpus: int | None = _set(least=1)  # per device; null: as many as `workers`, and one
    memory: int | None = _set(least=1)  # GiB per node
    at_once: int = _set(least=1)  # runs of a sweep


@dataclass
class Wandb:
    """The window on a run; offline unless logged in."""

    enabled: bool = MISSING
    project: str = MISSING
    checkpoint: bool = MISSING  # keep it there as an artifact, with its card


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
    tuning: Tuning = field(default_factory=Tuning, metadata={"where": True})
    tuned: dict[str, Any] = field(default_factory=dict)  # on what; empty: nothing was tuned
    untuned: bool = MISSING  # whether a run is wanted that should be tuned, and is not
    trainer: Trainer = field(default_factory=Trainer)
    save: Save = field(default_factory=Save, metadata={"where": True})
    patience: Patience = field(default_factory=Patience, metadata={"where": True})
    sharing: Sharing = field(default_factory=Sharing, metadata={"where": True})
    slurm: Slurm = field(default_factory=Slurm, metadata={"where": True})
    wandb: Wandb = field(default_factory=Wandb, metadata={"where": True})
    decoder: Literal["pyav", "torchcodec"] = MISSING
    cache: bool = _set(where=True)  # keep decoded videos on disk, for all runs; for small datasets
    workers: int = _set(least=0, most=1024, where=True)  # processes that load data, per device
    max_batch_per_device: int | None = _set(least=1, where=True)  # more clips are accumulated
    examine: bool = _set(where=True)  # once trained, while its checkpoint is there
    huge: bool = _set(where=True)  # whether what is out of all proportion is done all the same
    seed: int = _set(least=0, most=2**32 - 1)
    complete: bool = False  # of a protocol: only runs that have a file of their own
    name: str = ""  # set by `load`


def _keys(
    schema: Any, prefix: str = "", above: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield every dotted key of a dataclass and of those in it, its type, and what else is said."""
    hints = get_type_hints(schema)
    for each in fields(schema):
        key, kind, said = f"{prefix}{each.name}", hints[each.name], {**above, **each.metadata}
        yield key, kind, said
        if is_dataclass(kind):
            yield from _keys(kind, f"{key}.", said)


SCHEMA = {key: kind for key, kind, _ in _keys(Recipe)}
METADATA = {key: said for key, _, said in _keys(Recipe)}
SECTIONS = {key for key, kind in SCHEMA.items() if is_dataclass(kind)}
FREE = {"backbone.options", "data", "method", "tuned", "tuning.space"}  # of keys of their own
FREE_WHERE = {"data.root", "data.videos"}  # no fields of ours: any dataset that has them means so
CALLED = "data.called"  # of the name alone: what anyone's own data, or a copy, is called in it
KEYS = SCHEMA.keys() - SECTIONS - FREE - {"name", "complete"}


def is_execution_key(key: str) -> bool:
    """Return whether `key` says where a run runs, not what it is."""
    while key not in METADATA and "." in key and key not in FREE_WHERE:
        key = key.rpartition(".")[0]  # of a section whose keys are not ours to know
    return key in FREE_WHERE or bool(METADATA.get(key, {}).get("where"))


def as_they_stand(values: Mapping[str, Any]) -> Recipe | None:
    """Return the recipe of values that are of their keys' types, None if one may not be.

    What OmegaConf would leave as it is need not be given to it: it takes a fiftieth of a second a
    recipe, and a sweep has hundreds.
    """
    try:
        found = _section(Recipe, values)
    except (_Unsure, RecursionError):
        return None
    assert isinstance(found, Recipe)
    return found


class _Unsure(Exception):
    """A value may be meant as another, or may be wrong."""


def _section(schema: Any, values: Any) -> Any:
    kinds, needed = _types(schema)
    if type(values) is not dict or not needed <= values.keys() <= kinds.keys():
        raise _Unsure
    return schema(**{key: _typed(kinds[key], value) for key, value in values.items()})


@cache
def _types(schema: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the types of a section's keys, and which of them have no value of their own."""
    needed = {
        each.name
        for each in fields(schema)
        if each.default in (MISSING, dataclasses.MISSING) and each.default_factory is not dict
    }
    return get_type_hints(schema), needed


def _typed(kind: Any, value: Any) -> Any:
    """Return a value of a type; lists and keys are copied.

    Raises:
        _Unsure: it is not of this type as it stands.
    """
    if kind is str:
        return _text(value)
    if kind is float and type(value) is int and abs(value) <= LARGEST:
        return float(value)
    if kind in (bool, int, float) and type(value) is kind:
        return value
    if is_dataclass(kind):
        return _section(kind, value)
    origin, within = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType) and within[1:] == (NoneType,):
        return None if value is None else _typed(within[0], value)
    if origin is Literal and (type(value), value) in [(type(each), each) for each in within]:
        return value
    if origin is type(value) is list:
        return [_typed(within[0], each) for each in value]
    if origin is type(value) is dict:
        return {_text(key): _free(each) for key, each in value.items()}
    raise _Unsure


def _free(value: Any) -> Any:
    """Return a value of a section whose keys are not ours to know."""
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is list:
        return [_free(each) for each in value]
    if type(value) is dict:
        return {key if type(key) is int else _text(key): _free(v) for key, v in value.items()}
    return _text(value)


def _text(value: Any) -> str:
    """Return a text that refers to nothing."""
    if type(value) is not str or "${" in value or value == MISSING:
        raise _Unsure
    return value
