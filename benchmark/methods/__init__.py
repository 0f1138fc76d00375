"""The methods: one file each, whose name is the method's name everywhere.

A method is a function that changes a frozen `VideoViT` in place. What it creates is born trainable;
what it thaws, it thaws by name. Its keyword arguments are the schema of its recipes, its defaults
the paper's. Files that start with an underscore hold what two or more methods share.
"""

from typing import Any

from timm.models.vision_transformer import VisionTransformer

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.models.video_vit import HEAD_STD, VideoViT


def adapt(
    vit: VisionTransformer,
    method: str,
    *,
    frames: int,
    classes: int,
    head_dropout: float = 0.0,
    head_std: float | None = HEAD_STD,
    **options: Any,
) -> VideoViT:
    """Return `vit` as a video model that `method` trains: (B, C, T, H, W) to (B, classes).

    The ViT itself is taken over: frozen, rid of its classifier, and changed in place.

    Args:
        vit: a timm `VisionTransformer`, with the weights it is to start from.
        method: the name of a file in `benchmark/methods`, such as "st_adapter".
        frames: T, frames per clip.
        classes: of the new head.
        head_dropout: of the clip's feature, before the head.
        head_std: of the head's weights as they start; None: as PyTorch's Linear starts.
        options: the method's own, such as `width=128`; the paper's where they are not given.

    Raises:
        UserError: there is no such method, it has no such option, or cannot change this ViT.
    """
    if type(vit) is not VisionTransformer:
        raise UserError(
            f"a {type(vit).__name__} is no timm VisionTransformer, which methods change"
        )
    known = lookup.parameters("benchmark.methods", method)
    for option in options:
        if option not in known:
            raise UserError(f"{method} has no option {option!r}{nearest(option, known)}")
    if vit.num_classes:
        vit.reset_classifier(0)
    model = VideoViT(vit, frames, classes, head_dropout, head_std)
    lookup.call("benchmark.methods", {"name": method, **options}, model)
    return model
