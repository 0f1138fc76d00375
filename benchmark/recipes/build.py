"""What a recipe describes, built: its data, and its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.methods import adapt
from benchmark.methods._text import text_features
from benchmark.models import backbone, checkpoint
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.video_vit import VideoViT
from benchmark.models.weights import fingerprint
from benchmark.official import from_official, paper_of
from benchmark.recipes import compose, proportion
from benchmark.recipes.schema import Backbone, Recipe
from datamodules.dataset_info import DatasetInfo, hold_out
from datamodules.loading.clips import Alter, sampling
from datamodules.randomness import Stream, generator

if TYPE_CHECKING:
    from datamodules.datamodule import VideoDataModule


def dataset(recipe: Recipe) -> DatasetInfo:
    """Return the dataset of `recipe`, its holdout being held out; no video is opened.

    Raises:
        UserError: the data is not there, or not what the recipe asks for.
    """
    listed: DatasetInfo = lookup.call(compose.PACKAGES["data"], recipe.data)
    return hold_out(listed, recipe.train.holdout, recipe.seed)


def datamodule(
    recipe: Recipe, data: DatasetInfo | None = None, alter: Alter | None = None
) -> VideoDataModule:
    """Return the clips of `recipe`, of its own dataset or of `data`, which is that.

    Args:
        recipe: What is sampled, and how.
        data: Its dataset, where that is known already.
        alter: Changes the views that are tested; None: nothing does.

    Raises:
        UserError: the data is not there, or not what the recipe asks for, or out of all proportion.
    """
    from datamodules.datamodule import (  # Lightning takes seconds to import; models need none
        VideoDataModule,
        all_views,
        training_clips,
    )

    clip, train, test = recipe.clip, recipe.train, recipe.test
    data = data or dataset(recipe)
    proportion.ask(recipe, proportion.of_data(recipe, data))
    train_frames, test_frames = (
        sampling(name, frames=clip.frames, interval=clip.interval, seconds=clip.seconds)
        for name in (clip.sampling, test.sampling or clip.sampling)
    )
    shared: dict[str, Any] = {
        **{"size": clip.size, "interpolation": clip.interpolation},
        **{"decoder": recipe.decoder, "cache": recipe.cache},
    }
    testing = all_views(  # first: it knows of broken videos before any is decoded
        data,
        test_frames,
        clips=test.clips,
        crops=test.crops,
        short_side=test.short_side,
        broken=test.broken,
        alter=alter,
        **shared,
    )
    return VideoDataModule(
        data,
        training=training_clips(data, train_frames, train.augment, seed=recipe.seed, **shared),
        testing=testing,
        batch=train.batch,
        test_batch=test.batch,
        mean=recipe.backbone.mean,
        std=recipe.backbone.std,
        workers=recipe.workers,
        max_batch_per_device=recipe.max_batch_per_device,
        drop_last=train.drop_last,
        patience=recipe.patience.read,
    )


def model(recipe: Recipe, num_classes: int) -> tuple[VideoViT, str]:
    """Return the model of `recipe`, changed by its method, and its backbone's fingerprint.

    What is new in it is drawn from the recipe's seed, and so are the weights of a backbone that has
    none.
    """
    b = recipe.backbone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(Stream.WEIGHTS, recipe.seed).integers(2**63)))
        vit = backbone.load(b.name, size=recipe.clip.size, weights=weights_of(b), options=b.options)
    before = fingerprint(vit.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return _adapted(vit, recipe, num_classes), before


def meta_model(recipe: Recipe, num_classes: int) -> VideoViT:
    """Return the model of `recipe` on the meta device: all shapes, no weights, no memory."""
    b = recipe.backbone
    with torch.device("meta"):
        vit = backbone.build(b.name, size=recipe.clip.size, options=b.options)
        return _adapted(vit, recipe, num_classes)


def model_of(saved: Checkpoint, recipe: Recipe, num_classes: int) -> VideoViT:
    """Return the model of a checkpoint, built by `recipe`; merged if the checkpoint is.

    Raises:
        UserError: the checkpoint is another model's.
    """
    own, _ = model(recipe, num_classes)
    if saved.merged and not own.mergeable:
        raise UserError(
            f"the checkpoint is a merged one, and nothing merges in {recipe.method['name']}'s model"
        )
    own = own.merge() if saved.merged else own
    checkpoint.load_checkpoint(own, saved)
    return own


def classes_of(saved: Checkpoint, recipe: Recipe) -> int:
    """Return how many classes a checkpoint tells apart; of a head of text its recipe's file tells.

    Raises:
        UserError: there is no such file.
    """
    bias = saved.parameters.get("head.bias")
    return (classes_of_text(recipe) or 0) if bias is None else len(bias)


def classes_of_text(recipe: Recipe) -> int | None:
    """Return how many classes the text that a recipe's head compares with has; None: it has none.

    Raises:
        UserError: there is no such file, or no text in it.
    """
    text = recipe.method.get("text")
    return None if text is None else len(text_features(text))


def _adapted(vit: VisionTransformer, recipe: Recipe, num_classes: int) -> VideoViT:
    options = {key: value for key, value in recipe.method.items() if key != "name"}
    return adapt(
        vit,
        recipe.method["name"],
        frames=recipe.clip.frames,
        classes=num_classes,
        head_dropout=recipe.train.head_dropout,
        head_std=recipe.train.head_std,
        **options,
    )


def weights_of(b: Backbone) -> str:
    """Return `backbone.weights`; a file that is not absolute lies beside the recipe."""
    if b.weights in backbone.SOURCES:
        return b.weights
    beside = [root / "backbones" / b.weights for root in compose.roots()]
    return str(next((each for each in beside if each.exists()), beside[0]))


def from_official_file(
    state_dict: Mapping[str, Tensor], recipe: Recipe, *, base: Mapping[str, Tensor] | None = None
) -> VideoViT:
    """Return `from_official` of a file that is what `recipe` describes.

    Raises:
        UserError: the file is of another shape than the recipe's backbone and method.
    """
    options = {key: recipe.method[key] for key in ("scale", "shifts") if key in recipe.method}
    text = recipe.method.get("text")
    b = recipe.backbone
    with torch.device("meta"):
        vit = backbone.build(b.name, size=recipe.clip.size, options=b.options)
    model = from_official(
        state_dict,
        method=paper_of(state_dict, recipe.method["name"]),
        heads=int(vit.blocks[0].attn.num_heads),  # type: ignore[union-attr, arg-type]
        frames=recipe.clip.frames,
        base=base,
        text=None if text is None else text_features(text),
        **options,
    )
    theirs, own = _shapes(model), _shapes(meta_model(recipe, model.head.out_features))
    if wrong := sorted(name for name in theirs | own if theirs.get(name) != own.get(name)):
        first = wrong[0]
        raise UserError(
            f"the file is not what {recipe.name} describes: {first} is {theirs.get(first)} in the "
            f"file, {own.get(first)} in the recipe's model"
        )
    return model


def _shapes(model: VideoViT) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in model.named_parameters()}
