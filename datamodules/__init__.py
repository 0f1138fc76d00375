"""Videos as clips: datasets, their decoding and loading, and the one LightningDataModule.

It knows nothing of models: `benchmark` stands on it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.datamodule import VideoDataModule
    from datamodules.dataset_info import DatasetInfo, Split

__all__ = ["DatasetInfo", "Split", "VideoDataModule"]

FACE = {  # imported when asked for: listing datasets needs no torch
    "VideoDataModule": "datamodules.datamodule",
    "DatasetInfo": "datamodules.dataset_info",
    "Split": "datamodules.dataset_info",
}


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(FACE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *FACE])
