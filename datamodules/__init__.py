"""Videos as clips: datasets, their decoding and loading, and the one LightningDataModule.

It knows nothing of models: `benchmark` stands on it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.datamodule import VideoDataModule, all_views, training_clips
    from datamodules.dataset_info import DatasetInfo, Split, hold_out
    from datamodules.loading.clips import sampling
    from datamodules.transforms.settings import Augment, Erasing, RandAugment

__all__ = [
    "Augment",
    "DatasetInfo",
    "Erasing",
    "RandAugment",
    "Split",
    "VideoDataModule",
    "all_views",
    "hold_out",
    "sampling",
    "training_clips",
]

FACE = {  # imported when asked for: listing datasets needs no torch
    **dict.fromkeys(("DatasetInfo", "Split", "hold_out"), "datamodules.dataset_info"),
    **dict.fromkeys(("Augment", "Erasing", "RandAugment"), "datamodules.transforms.settings"),
    "sampling": "datamodules.loading.clips",
    **dict.fromkeys(("VideoDataModule", "all_views", "training_clips"), "datamodules.datamodule"),
}


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(FACE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *FACE])
