"""A run whose memory runs out goes on with half as many clips at once, and its record says so.

What it finds in its folder (`runs/memory.py`) it keeps to. Where its memory runs out in training it
notes half of what was too many, or what the forecast says fits a GPU where that is less, and ends;
whoever started it starts it again. That goes on from its last checkpoint, as if the smaller
`max_batch_per_device` had been given by hand at that place. Steps have the same clips; what was
computed of them before was added up in larger parts, which rounds otherwise.

Where it runs out in a test nothing is halved: `test.batch` belongs to what a run is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer

from benchmark.cost.forecast.foresee import most_clips
from benchmark.recipes.schema import Recipe
from benchmark.runs import memory
from benchmark.runs.memory import Room


class OutOfMemory(Exception):
    """The memory ran out; started again, the run goes on with fewer clips at once."""


def within_memory(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe with no more clips at once than its run has found room for."""
    room = memory.read(folder)
    if room is None or not room.too_many:
        return recipe
    given = recipe.max_batch_per_device
    return replace(recipe, max_batch_per_device=min(room.clips, given or room.clips))


def too_many(folder: Path) -> tuple[int, ...] | None:
    """Return with how many clips at once the memory of a run has run out; None: it never did."""
    room = memory.read(folder)
    return room.too_many or None if room else None


class MemoryLimit(Callback):
    """Note how many clips a run takes at once, and that they are too many where memory runs out.

    Args:
        recipe: Of the run.
        folder: Where it works.
        classes: That its model tells apart.
        least: Clips at once, fewer of which cannot be.
    """

    def __init__(self, recipe: Recipe, folder: Path, classes: int, least: int) -> None:
        self.recipe, self.folder, self.classes, self.least = recipe, folder, classes, least
        self._clips, self._killed = 0, memory.kills()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note it."""
        self._killed = memory.kills()
        self._clips = (
            self.recipe.train.batch // trainer.world_size // trainer.accumulate_grad_batches
        )
        if trainer.is_global_zero:
            memory.write(self.folder, Room(self._clips, self.least, too_many(self.folder) or ()))

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Halve what was too many, on whichever rank it is.

        Raises:
            OutOfMemory: the run is to be started again.
        """
        if not (trainer.training and self._ran_out(exception)):
            return
        device, foreseen = pl_module.device, None
        if device.type == "cuda":
            whole = torch.cuda.get_device_properties(device).total_memory
            foreseen = most_clips(self.recipe, self.classes, whole)
        if fewer := memory.halve(self.folder, self._clips, foreseen):
            raise OutOfMemory(
                f"out of memory with {self._clips} clips at once; started again, it goes on with "
                f"{fewer} from its last checkpoint"
            ) from exception

    def _ran_out(self, error: BaseException) -> bool:
        """Return whether memory ran out: a device's, or the machine's, as its kernel counts."""
        said = str(error).strip()
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in said:
            return True
        count, dead = memory.kills(), said.startswith("DataLoader worker")
        return dead and None not in (count, self._killed) and count != self._killed
