"""The account of a run that stands in its record: what it cost, and on what data and machine."""

import hashlib
import platform
import resource
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from benchmark import cost
from benchmark.evaluation import Scores
from benchmark.model import VideoViT
from benchmark.schema import Recipe
from benchmark.watch import Watch
from datamodules._video import VideoDataModule

PACKAGES = ("torch", "torchvision", "lightning", "timm", "av", "pytorchvideo", "torchmetrics")


def counts(recipe: Recipe, video_vit: VideoViT) -> dict[str, Any]:
    """Return what can be counted before training: parameters and multiply-accumulates."""
    try:
        tested, merged = video_vit.merge(), True
    except ValueError:
        tested, merged = video_vit, False
    trained = [p for p in video_vit.parameters() if p.requires_grad]
    return {
        "trained_parameters": cost.parameters(video_vit, trained=True),
        "head_parameters": cost.parameters(video_vit.head),
        "total_parameters": cost.parameters(tested),
        "total_parameters_training": cost.parameters(video_vit),
        "macs_per_view": cost.macs(tested, size=recipe.clip.size),
        "training_macs": cost.training_macs(video_vit, size=recipe.clip.size),  # per clip
        "views": recipe.test.clips * recipe.test.crops,
        "merged": merged,
        "checkpoint_bytes": sum(p.numel() * p.element_size() for p in trained),
    }


def measured(watch: Watch, test_seconds: float) -> dict[str, Any]:
    """Return what training and testing took: seconds, bytes, and the share of waiting for data."""
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {
        "train_seconds": round(watch.seconds, 2),
        "test_seconds": round(test_seconds, 2),
        "clips_per_second": round(watch.clips / watch.seconds, 1) if watch.seconds else None,
        "data_wait": round(watch.waiting / watch.seconds, 4) if watch.seconds else None,
        "peak_device_memory_bytes": peak,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def facts(data: VideoDataModule, watch: Watch, scores: Scores) -> dict[str, Any]:
    """Return what the data was: checksums, the holdout, and what could not be decoded."""
    dataset = data.data
    classes = "\n".join(dataset.classes)
    return {
        "name": dataset.name,
        "splits": {
            name: {"videos": len(split), "sha256": split.sha256()}
            for name, split in dataset.splits.items()
        },
        "classes": list(dataset.classes),
        "classes_sha256": hashlib.sha256(classes.encode()).hexdigest(),
        "order_blind_ceiling": dataset.order_blind_ceiling,
        "chosen": None if dataset.chosen is None else list(dataset.chosen),
        "holdout": None if dataset.held_out is None else list(dataset.held_out),
        "broken": sorted(watch.broken),
        "broken_test": scores.index[scores.broken].tolist(),
    }


def environment(
    code: tuple[str, bool], fingerprint: str, decoder: str, trainer: Trainer
) -> dict[str, Any]:
    """Return the code, the versions, the weights and the machine of this run."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "commit": code[0],
        "dirty": code[1],
        "weights": fingerprint,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "decoder": decoder,
        "device": gpu if trainer.strategy.root_device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "world_size": trainer.world_size,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
