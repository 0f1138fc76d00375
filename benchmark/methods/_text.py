"""Heads of text: a clip's feature beside those that CLIP makes of the names of the classes.

The features are frozen and come from a file, made once per dataset: nothing here reads a text.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import UserError
from benchmark.models.reading import reading
from benchmark.models.video_vit import VideoViT
from benchmark.models.weights import read_weights

SCALE = math.log(100)  # where CLIP's own scale of cosines ended, and is clipped
FEATURES = ("text_features", "text", "features")
PROJECTION = ("visual.proj", "proj")  # the first is its name in OpenAI's files


class TextHead(nn.Linear):
    """Compare features (B, F) with those of the classes: exp(scale) * cosine, (B, K).

    Its weight (K, E) is the text, each class of length 1, and frozen.

    Args:
        text: (K, E).
        width: F.
        projection: the frozen (F, E) that takes a clip's feature to the text's space; None: a new
            one trains.
        train_scale: whether the scale trains.
    """

    def __init__(
        self, text: Tensor, width: int, *, projection: Tensor | None, train_scale: bool
    ) -> None:
        super().__init__(text.shape[1], len(text), bias=False)
        self.proj = nn.Parameter(torch.empty(width, text.shape[1]).normal_(std=width**-0.5))
        self.logit_scale = nn.Parameter(torch.tensor(SCALE), requires_grad=train_scale)
        with torch.no_grad():
            self.weight.copy_(F.normalize(text.float(), dim=-1))
            if projection is not None:
                self.proj.copy_(projection)
        self.weight.requires_grad_(False)
        self.proj.requires_grad_(projection is None)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, F) to logits (B, K)."""
        cosine = F.linear(F.normalize(x @ self.proj, dim=-1), self.weight)
        return cosine * self.logit_scale.exp()


def compare_with_text(
    model: VideoViT,
    text: str | Tensor,
    *,
    projection: str | Tensor | None = None,
    train_scale: bool = False,
) -> None:
    """Give `model` a head of text instead of its linear one.

    Args:
        model: changed in place.
        text: CLIP's features of the classes' names (K, E), or the file that holds them.
        projection: CLIP's own of its image features, frozen, or a file that holds it, such as
            OpenAI's; None: a new one trains.
        train_scale: whether exp(scale), the factor of the cosines, trains.

    Raises:
        ValueError: their sizes disagree with each other or with the model's.
        UserError: a file is not what it should be.
    """
    features, width = text_features(text), model.head.in_features
    if len(features) != model.head.out_features:
        raise ValueError(
            f"text has features of {len(features)} classes; there are {model.head.out_features}"
        )
    own = None if projection is None else _matrix(projection, PROJECTION)
    if own is not None and own.shape != (width, features.shape[1]):
        raise ValueError(
            f"projection is {tuple(own.shape)}, not {(width, features.shape[1])}: from the ViT's "
            "width to the text's"
        )
    model.head = TextHead(features, width, projection=own, train_scale=train_scale)


def text_features(text: str | Tensor) -> Tensor:
    """Return CLIP's features of the classes' names (K, E), read from a file where need be."""
    return _matrix(text, FEATURES)


def _matrix(source: str | Tensor, names: tuple[str, ...]) -> Tensor:
    """Return the matrix of a .npy file, or the one that another file holds or calls by a name."""
    if isinstance(source, Tensor):
        found: Mapping[str, Tensor] = {names[0]: source}
    elif (file := Path(source)).suffix == ".npy":
        with reading(file):
            found = {names[0]: torch.from_numpy(np.load(file, allow_pickle=False))}
    else:
        found = read_weights(file)
    named = [found[name] for name in names if name in found]
    held = named[:1] or list(found.values())
    if len(held) != 1 or held[0].ndim != 2:
        raise UserError(
            f"{source if isinstance(source, str) else names[0]}: holds no matrix called "
            f"{' or '.join(names)}, and not a single one"
        )
    return held[0].float()
