"""What a recipe may say: every key, its type, and which of them say only where a run runs.

Every value stands in a YAML file: MISSING is what none has set yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_type_hints

from omegaconf import MISSING


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
    sampling: str = MISSING  # a function in datamodules/loading/clip_sampling.py
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


def is_execution_key(key: str) -> bool:
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
