"""A benchmark of parameter-efficient image-to-video transfer.

The names below are imported when they are asked for: the command line starts without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.inference.trained_model import load_checkpoint
    from benchmark.methods import adapt
    from benchmark.models.video_vit import VideoViT
    from benchmark.recipes.compose import load as load_recipe
    from benchmark.results.record import records as load_records
    from benchmark.training.task import Classification
    from benchmark.training.train import load_run

__version__ = "0.1.0"
__all__ = [
    "Classification",
    "VideoViT",
    "adapt",
    "load_checkpoint",
    "load_recipe",
    "load_records",
    "load_run",
]

FACE = {  # name -> where it is, and what it is called there
    "Classification": ("benchmark.training.task", "Classification"),
    "VideoViT": ("benchmark.models.video_vit", "VideoViT"),
    "adapt": ("benchmark.methods", "adapt"),
    "load_checkpoint": ("benchmark.inference.trained_model", "load_checkpoint"),
    "load_recipe": ("benchmark.recipes.compose", "load"),
    "load_records": ("benchmark.results.record", "records"),
    "load_run": ("benchmark.training.train", "load_run"),
}


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, own_name = FACE[name]
    return getattr(import_module(module), own_name)


def __dir__() -> list[str]:
    return sorted([*globals(), *FACE])
