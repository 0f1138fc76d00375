"""How fast a model is once it is trained: clips per second of the last test, waiting left out."""

import time
from typing import Any

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer


class InferenceSpeed(Callback):
    """Time the forward passes of a test; each test starts the clock anew.

    A test of the merged model comes after that of the model itself, so that what is left is the
    speed of the model one would use. Decoding, and moving clips to the device, do not count.
    """

    def __init__(self) -> None:
        self._clips, self._seconds, self._mark = 0, 0.0, 0.0

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the test before this one."""
        self._clips, self._seconds = 0, 0.0

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Start the clock: the clips are there."""
        self._mark = time.perf_counter()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop the clock: the scores are on the CPU. Videos (B, V, ...) have V clips each."""
        self._seconds += time.perf_counter() - self._mark
        self._clips += int((batch["index"] >= 0).sum()) * batch["video"].shape[1]

    def clips_per_second(self) -> float | None:
        """Return the speed over all ranks; None: nothing was tested."""
        own = self._clips / self._seconds if self._seconds else 0.0
        everyone: list[float] = [own]
        if dist.is_available() and dist.is_initialized():
            everyone = [0.0] * dist.get_world_size()
            dist.all_gather_object(everyone, own)
        return round(sum(everyone), 1) or None
