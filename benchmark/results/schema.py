"""What a record holds, key by key: its sections, typed, and how plain JSON becomes them.

A field with a default may be missing: older records lack it, or some runs have no such thing.
"""

import reprlib
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from datamodules.identity import DataIdentity, ListedVideos

Fraction = Annotated[float, (0, 1)]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What came out, with the last weights."""

    top1: Fraction
    top5: Fraction | None = None  # None: fewer than five classes
    mean_class: Fraction  # top-1 of each class, the mean over classes
    clip_top1: Fraction  # of single views
    chance: Fraction | None = None  # top-1 of answering the most frequent class; None: older record
    videos: int
    split: Literal["test", "holdout"]  # what was scored: "holdout" are training clips, for tuning
    merged_top1: Fraction | None = None  # of the merged model; None, also below: nothing merges
    merged_top1_change: float | None = None  # merged_top1 - top1
    merged_score_change: float | None = None  # the largest change of a softmax


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """What can be counted of a model before it is trained."""

    trained_parameters: int  # the head's included
    head_parameters: int
    total_parameters: int  # of the model that is tested, merged where it merges
    total_parameters_training: int  # of the model that is trained
    macs_per_view: int  # multiply-accumulates of the model that is tested, forward
    training_macs: int | None = None  # per clip, forward and backward; None: an older record
    views: int  # of a video in testing, clips x crops
    merged: bool  # whether the model that is tested is merged
    checkpoint_bytes: int  # of what was trained


@dataclass(frozen=True, kw_only=True)
class Cost(ModelCost):
    """What a run costs: counted of its model, and measured."""

    train_seconds: float  # of training alone, over all starts of the run
    test_seconds: float
    device_seconds: float | None = None  # wall time of all starts, tests and all, × devices
    clips_per_second: float | None = None  # of training, over all ranks
    data_wait: float | None = None  # the share of train_seconds in which the model waited for clips
    inference_clips_per_second: float | None = None  # of the tested model, merged where it merges
    # Memory is that of training; before version 2 its peaks were those of the tests, too.
    peak_memory_bytes: int | None = None  # of the process
    peak_device_memory_bytes: int | None = None  # None: a CPU
    saved_for_backward_bytes: int | None = None  # of the first step, on a CPU; not the parameters


@dataclass(frozen=True, kw_only=True)
class SplitChecksum:
    """Which videos a split had."""

    videos: int
    sha256: str  # of names and labels, in order


@dataclass(frozen=True, kw_only=True)
class DataProvenance:
    """What the data was, and what of it could not be decoded."""

    name: str
    splits: dict[str, SplitChecksum]  # "train", "test", and where clips are held out "holdout"
    classes: tuple[str, ...]
    classes_sha256: str
    order_blind_ceiling: Fraction | None = None  # top-1 of the best model blind to frames' order
    # Few shots, or a fraction: which of the listed training videos; None: all
    chosen: tuple[int, ...] | None = None
    holdout: tuple[int, ...] | None = None  # which training videos were held out; None: none was
    broken: tuple[int, ...]  # indices of training videos
    broken_test: tuple[int, ...] | None = None  # of those tested; None: an older record
    broken_names: tuple[str, ...] | None = None  # of `broken`, as lists have them; None: likewise
    broken_test_names: tuple[str, ...] | None = None
    shared: int | None = None  # videos tested that are training videos, too: the same files
    shared_content: int | None = None  # likewise, by content; None: no audit knows
    # How many clips it decoded per training clip it got; None: nothing was shared with other runs
    decoded: float | None = None
    # The splits before a choice or a holdout, which tell another dataset; None: an older record
    listed: dict[str, ListedVideos] | None = None

    @property
    def identity(self) -> DataIdentity:
        """Which data it was; of an older record no more than the lists it read whole."""
        if self.listed is not None:
            return DataIdentity(classes=self.classes, splits=self.listed)
        whole = {"test"} | ({"train"} if self.chosen is None and self.holdout is None else set())
        splits = {
            name: ListedVideos(videos=each.videos, sha256=each.sha256)
            for name, each in self.splits.items()
            if name in whole
        }
        return DataIdentity(classes=self.classes, splits=splits)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """On what it ran: the code, versions, weights, machine."""

    commit: str  # "unknown" without git
    dirty: bool  # whether the code had changes that were not committed
    # Of a folder of somebody's own, which is not the suite's: file -> SHA-256; None: all was ours
    external: dict[str, str] | None = None
    weights: str  # fingerprint of the backbone's
    python: str
    torch: str
    torchvision: str
    lightning: str
    timm: str
    av: str
    pytorchvideo: str
    torchmetrics: str
    decoder: str | None = None  # and its version; None: an older record
    device: str  # the name of the GPU, or of the processor
    precision: str | None = None  # what was computed in; None: an older record
    threads: int  # of torch, in each process
    world_size: int  # processes that trained together
    # With how many clips at once memory ran out, before fewer were taken: those that the recipe
    # here has as max_batch_per_device; None: it never did, or an older record
    out_of_memory: tuple[int, ...] | None = None
    measured_by: str | None = None  # who ran it; None: nobody said, or an older record


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """A point of the training curve; None: it was not a number, or nothing was held out."""

    epoch: int  # from 0
    loss: float | None = None  # mean over training clips
    top1: Fraction | None = None  # of training clips
    val_top1: Fraction | None = None  # of what is held out


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the training went."""

    epochs: int
    steps: int  # of the optimiser
    curve: tuple[Epoch, ...]
    resumed: int  # how often the run was taken up again
    started: str  # ISO 8601, UTC


def parse(kind: Any, value: Any, key: str = "") -> Any:
    """Return plain `value`, as JSON has it, as a `kind`: a section, or what its fields are made of.

    Raises:
        ValueError: a key is missing or unknown, or has the wrong type; it is named with its dots.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):  # of something and None
        return None if value is None else parse(arguments[0], value, key)
    if origin is Annotated:  # a number and its range
        number, (least, most) = parse(arguments[0], value, key), arguments[1]
        _demand(least <= number <= most, key, value, f"between {least} and {most}")
        return number
    if origin is Literal:
        _demand(value in arguments, key, value, f"one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        _demand(isinstance(value, list | tuple), key, value, "a list")
        return tuple(parse(arguments[0], each, f"{key}[{i}]") for i, each in enumerate(value))
    if kind in (int, float):  # JSON writes a float as an int where it can
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        wanted = "a count" if kind is int else "a number"
        _demand(number and abs(value) <= sys.float_info.max, key, value, wanted)
        return value
    if kind in (str, bool):
        _demand(isinstance(value, kind), key, value, "a text" if kind is str else "true or false")
        return value
    _demand(isinstance(value, Mapping), key, value, "keys with values")
    if is_dataclass(kind):
        return _section(kind, value, key)
    return {name: parse(arguments[1], each, _dotted(key, name)) for name, each in value.items()}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _section(kind: Any, value: Mapping[str, Any], key: str) -> Any:
    known = _hints(kind)
    required = {field.name for field in fields(kind) if field.default is MISSING}
    for names, problem in ((required - value.keys(), "missing"), (value.keys() - known, "unknown")):
        if names:
            raise ValueError(f"{', '.join(_dotted(key, name) for name in sorted(names))} {problem}")
    return kind(
        **{name: parse(known[name], each, _dotted(key, name)) for name, each in value.items()}
    )


def _dotted(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _demand(fine: bool, key: str, value: Any, wanted: str) -> None:
    if not fine:
        raise ValueError(f"{key or 'it'} is {reprlib.repr(value)}, not {wanted}")
