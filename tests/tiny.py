"""Tiny models: every recipe of a method, on four kinds of backbone."""

from collections.abc import Callable

import timm
import torch

from benchmark import recipe
from benchmark.lookup import find
from benchmark.model import VideoViT

FRAMES, CLASSES, SIZE = 4, 5, 32

Build = Callable[..., VideoViT]

# Every recipe in recipes/methods is under test by being there; some in a size that fits a tiny ViT.
SMALLER: dict[str, dict[str, object]] = {
    "prompt_tuning": {"tokens": 3},
    "st_adapter": {"width": 12},
}
METHODS: dict[str, dict[str, object]] = {
    name: {
        **(method := recipe.read(f"methods/{name}")["method"]),
        **SMALLER.get(method["name"], {}),
    }
    for name in recipe.names("methods")
}

BACKBONES: dict[str, dict[str, object]] = {
    "class token": {"pre_norm": True},
    "registers": {"reg_tokens": 2, "init_values": 0.1},
    "no class token": {"class_token": False, "global_pool": "avg"},
    "attention pooling": {"class_token": False, "global_pool": "map"},
}


def construct(backbone: str, name: str, seed: int = 0, **options: object) -> VideoViT:
    """Return a tiny ViT of kind `backbone`, changed by the recipe `name`."""
    torch.manual_seed(seed)
    given = {"img_size": SIZE, "depth": 2, "num_classes": 0, **BACKBONES[backbone]}
    model = VideoViT(timm.create_model("test_vit", **given), frames=FRAMES, num_classes=CLASSES)
    options = {**METHODS[name], **options}
    find("benchmark.methods", str(options.pop("name")))(model, **options)
    return model
