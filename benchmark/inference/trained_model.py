"""The model of a checkpoint, with all it takes to show it a video.

Shapes: V views of a video (clips x crops), C T H W one view, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models import checkpoint
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.fixed_batches import in_fixed_batches
from benchmark.models.video_vit import VideoViT
from benchmark.recipes import build, compose
from benchmark.recipes.schema import Recipe
from datamodules.dataset_info import Split
from datamodules.decoding.video import DecodeError, ReadError
from datamodules.loading.clips import AllViews, sampling
from datamodules.loading.opener import opener


class Normalised(nn.Module):
    """A model of normalised clips that takes them as pixels: uint8 (B, C, T, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels, uint8 (B, C, T, H, W), to logits (B, K)."""
        logits: Tensor = self.model(self.normalise(pixels))
        return logits

    def normalise(self, pixels: Tensor) -> Tensor:
        """Map pixels, uint8 (B, C, T, H, W), to what the model under it takes."""
        return (pixels.float() / 255 - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A checkpoint's model in eval mode, as its recipe tests it.

        trained = benchmark.load_checkpoint("last.ckpt")
        logits = trained(trained.views("video.mp4"))  # (V, K)
        print(trained.classes[logits.softmax(-1).mean(0).argmax()])

    Attributes:
        model: Of normalised clips (B, C, T, H, W).
        recipe: The one the checkpoint holds.
        classes: K names.
    """

    model: VideoViT
    recipe: Recipe
    classes: tuple[str, ...]

    def __call__(self, views: Tensor) -> Tensor:
        """Return logits (V, K) of pixels, uint8 (V, C, T, H, W), computed as in a test."""
        return in_fixed_batches(self.pixels(), views, self.recipe.test.batch)

    def pixels(self) -> Normalised:
        """Return the model with its normalisation inside."""
        b = self.recipe.backbone
        where = next(self.model.parameters()).device
        return Normalised(self.model, b.mean, b.std).to(where)

    def views(self, video: str | Path) -> Tensor:
        """Return the views of a video that a test of the recipe takes, uint8 (V, C, T, H, W).

        Args:
            video: A file, or a folder of its frames.

        Raises:
            UserError: It is not there, or broken.
        """
        try:
            found: Tensor = self.all_views([str(video)])[0]["video"]
        except (DecodeError, ReadError) as error:
            raise UserError(str(error)) from None
        return found

    def all_views(self, videos: Sequence[str]) -> AllViews:
        """Return the views of many videos, made when they are asked for.

        Raises:
            UserError: A path is no text.
        """
        try:
            split = Split.of(videos, [0] * len(videos))
        except UnicodeEncodeError as error:
            raise UserError(f"{error.object!r}: a name that is no text") from None
        clip, test = self.recipe.clip, self.recipe.test
        name = test.sampling or clip.sampling
        return AllViews(
            split,
            opener(split, "", None, decoder=self.recipe.decoder, cache=False),
            sampling(name, frames=clip.frames, interval=clip.interval, seconds=clip.seconds),
            clips=test.clips,
            crops=test.crops,
            size=clip.size,
            short_side=test.short_side,
            interpolation=clip.interpolation,
            tolerant=False,
        )


def load_checkpoint(file: str | Path, overrides: Sequence[str] = ()) -> TrainedModel:
    """Return the model of a checkpoint file, under the recipe it holds, in eval mode.

    Args:
        file: One of ours: `.safetensors`, or the `.ckpt` of a run.
        overrides: `key=value`, such as `backbone.weights=FILE` where the backbone lies elsewhere.

    Raises:
        UserError: It is no checkpoint, or its backbone is not here.
    """
    saved = checkpoint.read(Path(file))
    recipe = compose.restored(saved.recipe, overrides)
    names = class_names(saved, recipe)
    return TrainedModel(build.model_of(saved, recipe, len(names)).eval(), recipe, names)


def class_names(saved: Checkpoint, recipe: Recipe) -> tuple[str, ...]:
    """Return the names of a checkpoint's classes.

    They stand in the checkpoint. In one that was converted, or is an older one, they do not: then
    they are those of the recipe's data where that is here and has as many, and numbers otherwise.
    """
    count = len(saved.parameters["head.bias"])
    if saved.data is not None and len(saved.data.classes) == count:
        return saved.data.classes
    try:
        names = tuple(build.dataset(recipe).classes)
    except UserError:
        names = ()
    return names if len(names) == count else tuple(f"class {i}" for i in range(count))
