"""A step of training reads nothing from the device: the device would run dry while one waits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.core import hooks
from torch import Tensor

from benchmark.tracking.memory import MemoryMonitor
from benchmark.tracking.monitor import TrainingMonitor
from benchmark.training.checkpointing import ResumeCheckpoint
from benchmark.training.train import load_run
from datamodules import files

READING = (
    *(Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.nonzero),
    *(Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__),
)
reads: list[str] = []


class OnDevice(Tensor):
    """Stands for a tensor on a device, as does what is computed from it; notes what reads it."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in READING:
            reads.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


class PerHook(Callback):
    """Takes the reads of all steps, and those of what comes after an epoch, apart."""

    def __init__(self) -> None:
        self.in_steps: list[str] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        reads.clear()

    def on_train_batch_end(self, *_: Any) -> None:
        self.in_steps += reads
        reads.clear()


def move(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.as_subclass(OnDevice) for name, tensor in batch.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "augment",
    [
        (),
        ("train.augment.erasing.probability=1",),
        ("train.augment.mixup=0.8", "train.augment.cutmix=1", "train.augment.erasing.fill=noise"),
    ],
    ids=["plain", "erased", "mixed"],
)
def test_no_step_reads_from_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: tuple[str, ...]
) -> None:
    monkeypatch.setattr(files, "RUNS", tmp_path)
    monkeypatch.setattr("benchmark.tracking.monitor.EVERY", (1e9, 1e9))  # no progress lines
    task, data = load_run(
        "quick/digits_motion/vit_digits/st_adapter",
        ["data.train=48", "data.holdout=16", "data.test=18", "train.batch=12", *augment],
    )
    watch, counted = TrainingMonitor(tmp_path), PerHook()
    saving = ResumeCheckpoint(tmp_path / "it.ckpt", steps=None, minutes=10)
    trainer = Trainer(
        callbacks=[watch, MemoryMonitor(), saving, counted],
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    monkeypatch.setattr(hooks, "move_data_to_device", move)
    trainer.fit(task, data)
    assert trainer.global_step == 4 and counted.in_steps == []
    assert reads  # after the epoch: the mark was not lost on the way
    assert watch.curve[0]["loss"] > 0
