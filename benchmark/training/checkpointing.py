"""Save what a run goes on from: after epochs, every so many steps or minutes, and if asked to stop.

A file is there whole or not at all: a kill or a full disk while it is written leaves the one before
it. What is not finite is never saved.
"""

from __future__ import annotations

import io
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from benchmark.errors import UserError
from benchmark.models.checkpoint import trained
from benchmark.recipes.compose import changes
from benchmark.recipes.schema import Recipe
from benchmark.results.staleness import to_do
from benchmark.tracking.monitor import TrainingMonitor
from datamodules.files import atomic_write
from datamodules.identity import DataIdentity, difference


class Preempted(Exception):
    """The run was asked to stop; started again, it goes on."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the old file and put the new one in its place, on disk before it counts.

    Lightning writes to the system's temporary folder and moves, which copies where that is another
    disk: a kill in the middle leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        content = io.BytesIO()
        torch.save(checkpoint, content)  # to a file, it hides why writing failed
        with atomic_write(Path(path)) as stream:
            stream.write(content.getbuffer())


class ResumeCheckpoint(Callback):
    """Save to `file`; a run that gets SIGTERM saves at the end of the step, and stops.

    Args:
        file: where to.
        steps: of the optimiser from one save to the next. None: not by steps.
        minutes: from one save to the next. None: not by time.
    """

    def __init__(self, file: Path, *, steps: int | None, minutes: float | None) -> None:
        self.file, self.steps, self.minutes = file, steps, minutes
        self._asked = False
        self._saved = time.monotonic()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add of how many batches a step is: the place in an epoch is counted in batches."""
        checkpoint["accumulation"] = trainer.accumulate_grad_batches

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count the place in batches of today's size."""
        before, now = checkpoint.get("accumulation"), trainer.accumulate_grad_batches
        if before not in (None, now):
            recount(checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"], before, now)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take SIGTERM from Lightning, whose handler waits for other ranks and may wait forever."""
        signal.signal(signal.SIGTERM, self._ask)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop a test at once: it starts over, and there is nothing to save."""
        signal.signal(signal.SIGTERM, _stop)

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to, between two steps of the optimiser."""
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # the end of the epoch is next, or gradients are being accumulated
        due = self._asked or (self.steps is not None and trainer.global_step % self.steps == 0)
        if self.minutes is not None:
            due |= time.monotonic() - self._saved >= 60 * self.minutes
        if _any(trainer, due):  # all ranks save, or none
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        self._save(trainer, pl_module)

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        finite = (tensor.isfinite().all() for tensor in trained(pl_module).values())
        if _any(trainer, not all(finite)):
            raise FloatingPointError(
                f"a parameter became infinite or not a number by step {trainer.global_step}; try a "
                "lower optim.lr"
            )
        trainer.save_checkpoint(self.file, weights_only=False)
        self._saved = time.monotonic()
        if _any(trainer, self._asked):
            raise Preempted("asked to stop; the run goes on from here when it is started again")


def recount(progress: dict[str, Any], before: int, now: int) -> None:
    """Count whole steps of `before` batches in steps of `now`; what is short of one stays so.

    Args:
        progress: Lightning's, of batches: in all, and of the current epoch.
        before: Batches of a step as they are counted.
        now: As they are to be.
    """
    for counts in (progress["total"], progress["current"]):
        whole = counts["processed"]
        for name in counts:
            counts[name] += whole // before * now - whole


def _any(trainer: Trainer, flag: bool) -> bool:
    """Return whether `flag` is set on any rank."""
    if trainer.world_size == 1:
        return flag
    return bool(trainer.strategy.reduce_boolean_decision(flag, all=False))


def _stop(number: int, frame: object) -> None:
    raise Preempted("asked to stop in testing, which starts over")


class CheckpointGuard(Callback):
    """Write recipe, frozen weights and data into checkpoints, and refuse one that has others.

    Args:
        recipe: of the run.
        base: fingerprint of what is frozen.
        data: which data the run trains on.
    """

    def __init__(self, recipe: Recipe, base: str, data: DataIdentity) -> None:
        self.recipe, self.base, self.data = asdict(recipe), base, data

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add all three."""
        checkpoint["recipe"], checkpoint["base"] = self.recipe, self.base
        checkpoint["data"] = asdict(self.data)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Compare them; refuse one whose curve and costs nobody here would take up."""
        if TrainingMonitor.__qualname__ not in checkpoint["callbacks"]:  # Lightning's key of states
            raise UserError(
                "the run's checkpoint was written by an older version of this code: finish the run "
                "with that one, or start it afresh (run NAME --again)"
            )
        trained_on = checkpoint.get("data")  # None: by older code, which did not note it
        if trained_on and (other := difference(DataIdentity.of(trained_on), self.data)):
            raise UserError(f"the run's checkpoint comes from other data: {other}; {to_do()}")
        if changed := changes(checkpoint["recipe"], self.recipe):
            listed = ", ".join(f"{key} was {a}, is {b}" for key, (a, b) in changed.items())
            raise UserError(f"the run's checkpoint comes from another recipe: {listed}")
        if checkpoint["base"] != self.base:
            raise UserError("the run's checkpoint comes from other backbone weights")
