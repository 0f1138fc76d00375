"""What a recipe asks for out of all proportion: told with its figure, and done where it is meant.

A key of ten million is no mistake by itself; it is one beside videos of ten frames. What is found
here is asked for with `--huge`, which is the recipe's key `huge`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.recipes.compose import PACKAGES
from benchmark.recipes.schema import Recipe
from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.sharing.memory import free_memory

if TYPE_CHECKING:
    from benchmark.models.video_vit import VideoViT

# What is more than that is asked for.
VIEWS = 100  # of a video in testing; papers have 30 at most
REPEATS = 2  # frames of a clip per frame of the longest video
PROCESSES = 32  # per core
CLIPS = 10**8  # of a training; Kinetics-700 for 50 epochs has a quarter of it
HOURS = 0.5  # of writing videos
CACHE = 50e9  # bytes of decoded videos

LOOKED_AT = 16  # videos, whose headers say how long they are
GIGA = 1e9


def ask(recipe: Recipe, found: Sequence[str]) -> None:
    """Raise a UserError with all that was found, unless the recipe says that it is meant."""
    if found and not recipe.huge:
        raise UserError(
            f"{recipe.name} is out of all proportion: {'; '.join(found)}; --huge (or huge=true) "
            "does it all the same"
        )


def of_recipe(recipe: Recipe, *, here: bool) -> list[str]:
    """Return what is out of all proportion in a recipe by itself.

    Args:
        recipe: The recipe.
        here: Whether it is to run on this machine, whose memory and cores are known.
    """
    found, clip, test = list[str](), recipe.clip, recipe.test
    if (views := test.clips * test.crops) > VIEWS:
        found.append(
            f"test.clips={test.clips} x test.crops={test.crops} are {views:,} views of a video"
        )
    if (hours := _seconds_of_writing(recipe) / 3600) > HOURS:
        found.append(f"writing the videos of {recipe.data['name']} takes about {hours:,.1f} hours")
    if not here:
        return found
    devices, cores = max(1, recipe.trainer.devices), os.cpu_count() or 1
    if (processes := devices * (1 + recipe.workers)) > PROCESSES * cores:
        keys = f"trainer.devices={devices} with workers={recipe.workers}"
        found.append(f"{keys} are {processes:,} processes on {cores} cores")
    free, most = free_memory(), recipe.max_batch_per_device
    batch = recipe.train.batch if most is None else min(recipe.train.batch, most * devices)
    for key, clips in (
        (f"train.batch={recipe.train.batch}", batch / recipe.trainer.num_nodes),
        (f"test.batch={test.batch}", max(1, test.batch // views) * views * devices),
    ):
        # a byte per value in each of two batches per worker that are loaded ahead and in the one
        # at work, which is also there as float32
        needed = clips * clip.frames * 3 * clip.size**2 * (5 + 2 * recipe.workers)
        if needed > free:
            keys = f"{key} with clip.frames={clip.frames} and clip.size={clip.size}"
            found.append(f"{keys} takes {_gb(needed)} of memory, {_gb(free)} are free")
    return found


def of_model(recipe: Recipe, model: VideoViT) -> list[str]:
    """Return what is out of all proportion in a recipe's model: its memory, without activations."""
    whole = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    needed, free = 4 * whole + 12 * trained, free_memory()  # with gradients and AdamW's two moments
    if needed <= free:
        return []
    model_is = f"the model of {recipe.method['name']} has {whole:,} parameters, {trained:,} trained"
    return [f"{model_is}: {_gb(needed)} of memory, {_gb(free)} are free"]


def of_data(recipe: Recipe, data: DatasetInfo) -> list[str]:
    """Return what is out of all proportion in a recipe to its data, which are there and listed."""
    found, train = list[str](), recipe.train
    clips = train.epochs * len(data.splits["train"])
    if clips > CLIPS:
        videos = f"{len(data.splits['train']):,} videos"
        found.append(f"train.epochs={train.epochs} of {videos} are {clips:,} clips to train on")
    used = [data.splits["train"], data.splits[data.evaluation_split]]
    lengths = [length for split in used for length in _lengths(split)]
    if lengths and recipe.clip.frames > REPEATS * (longest := max(lengths)):
        seen = f"of {len(lengths)} videos of {data.name} the longest has {longest:,} frames"
        found.append(f"clip.frames={recipe.clip.frames}, and {seen}")
    if recipe.cache and (size := sum(_cache_bytes(s, data.name, recipe) for s in used)) > CACHE:
        found.append(f"cache=true writes {_gb(size)} of decoded videos to {files.RUNS}")
    return found


def _seconds_of_writing(recipe: Recipe) -> float:
    """Return how long it takes to write a dataset that ships its own source; of others nothing."""
    name = recipe.data["name"]
    seconds: float | None = lookup.fact(PACKAGES["data"], name, "SECONDS_PER_PIXEL")
    if seconds is None:
        return 0.0
    known = inspect.signature(lookup.find(PACKAGES["data"], name)).parameters
    options = {key: each.default for key, each in known.items()} | recipe.data
    videos = sum(options[split] for split in ("train", "holdout", "test"))
    return float(seconds * videos * options["frames"] * options["size"] ** 2)


def _lengths(split: Split) -> Iterator[int]:
    """Yield about how many frames some of the videos have."""
    from datamodules.decoding.stated_length import stated_length  # imports torch, as all below
    from datamodules.decoding.video import DecodeError

    for index in np.linspace(0, len(split) - 1, min(LOOKED_AT // 2, len(split))).astype(int):
        try:
            length = stated_length(split.path(int(index)), split.segment(int(index)))
        except (DecodeError, OSError):  # an audit is for that, and training tells it
            continue
        if length is not None:
            yield length


def _cache_bytes(split: Split, name: str, recipe: Recipe) -> float:
    """Return the bytes that a cache takes that is still to be written."""
    from datamodules.loading import cache
    from datamodules.loading.opener import opener

    if cache.place_of(split, name, recipe.decoder).exists():
        return 0.0
    open_video = opener(split, name, None, decoder=recipe.decoder, cache=False)
    decoded, _ = cache.estimated_bytes(split, open_video)
    return decoded


def _gb(size: float) -> str:
    return f"{size / GIGA:,.1f} GB"
