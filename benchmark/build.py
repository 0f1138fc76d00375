"""The parts of a run, as its recipe says: data, model and training."""

from dataclasses import asdict

import torch

from benchmark import backbone, lookup
from benchmark.model import VideoViT
from benchmark.schema import Recipe
from benchmark.task import Classification
from datamodules._transforms import Augmentation, RandAugment
from datamodules._video import VideoDataModule


def datamodule(recipe: Recipe) -> VideoDataModule:
    """Return the data of `recipe`."""
    augment = recipe.train.augment
    return VideoDataModule(
        lookup.call("datamodules", recipe.data),
        frames=recipe.clip.frames,
        size=recipe.clip.size,
        sampling=recipe.clip.sampling,
        interval=recipe.clip.interval,
        seconds=recipe.clip.seconds,
        batch=recipe.train.batch,
        augment=Augmentation(
            short_side=augment.short_side,
            randaugment=RandAugment(**asdict(augment.randaugment)),
            crop=augment.crop,
            scale=augment.scale,
            ratio=augment.ratio,
            flip=augment.flip,
            lighting=augment.lighting,
            interpolation=recipe.clip.interpolation,
        ),
        erasing=augment.erasing.probability,
        fill=augment.erasing.fill,
        mixup=augment.mixup,
        cutmix=augment.cutmix,
        test_batch=recipe.test.batch,
        clips=recipe.test.clips,
        crops=recipe.test.crops,
        test_sampling=recipe.test.sampling,
        test_short_side=recipe.test.short_side,
        broken=recipe.test.broken,
        mean=recipe.backbone.mean,
        std=recipe.backbone.std,
        holdout=recipe.train.holdout,
        workers=recipe.workers,
        decoder=recipe.decoder,
        cache=recipe.cache,
        max_batch_per_device=recipe.max_batch_per_device,
        seed=recipe.seed,
    )


def model(recipe: Recipe, num_classes: int) -> tuple[VideoViT, str]:
    """Return the model of `recipe`, changed by its method, and its backbone's fingerprint.

    What is new in it is drawn from the recipe's seed.
    """
    b = recipe.backbone
    vit = backbone.load(b.name, size=recipe.clip.size, weights=b.weights, options=b.options)
    fingerprint = backbone.fingerprint(vit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        video_vit = VideoViT(vit, recipe.clip.frames, num_classes, recipe.train.head_dropout)
        lookup.call("benchmark.methods", recipe.method, video_vit)
    return video_vit, fingerprint


def task(recipe: Recipe, video_vit: VideoViT, steps: int | None = None) -> Classification:
    """Return the training of `video_vit` as `recipe` says, of so many optimiser steps."""
    return Classification(
        video_vit,
        **asdict(recipe.optim),
        label_smoothing=recipe.train.label_smoothing,
        test_batch=recipe.test.batch,
        seed=recipe.seed,
        steps=steps,
    )
