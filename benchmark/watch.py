"""What a run tells while it trains: progress lines, its curve, how long it waited for data."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from benchmark import progress

EVERY = 0.5  # seconds between two progress lines


class Watch(Callback):
    """Measure training, write progress lines, and keep the curve; survives a resume.

    Attributes:
        curve: an entry per epoch: loss and accuracy on training clips, accuracy on the holdout.
        seconds: spent in training, over all starts of the run.
        waiting: seconds of these in which the model waited for clips.
        clips: trained on, over all ranks.
        broken: indices of training videos that could not be decoded.
        resumed: how often the run was taken up again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.curve: list[dict[str, float]] = []
        self.broken: set[int] = set()
        self.seconds = self.waiting = 0.0
        self.clips = self.resumed = 0
        self._mark = self._written = 0.0
        self._loss = self._right = torch.zeros(())
        self._seen = self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        names = ("curve", "seconds", "waiting", "clips", "resumed")
        return {name: getattr(self, name) for name in names} | {"broken": sorted(self.broken)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier start of the run."""
        for name, value in state_dict.items():
            setattr(self, name, value)
        self.broken = set(state_dict["broken"])
        self.resumed += 1

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock and the epoch's sums."""
        self._mark = time.perf_counter()
        self._loss = self._right = torch.zeros((), device=pl_module.device)
        self._seen = self._steps = 0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the time since the last batch as waiting."""
        now = time.perf_counter()
        self.waiting += now - self._mark
        self.seconds += now - self._mark
        self._mark = now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add up the batch, and write a progress line now and then."""
        self._loss = self._loss + outputs["loss"].detach()
        self._right = self._right + outputs["right"]
        self._seen += len(batch["label"])
        self._steps += 1
        self.clips += len(batch["label"]) * trainer.world_size
        self.broken.update(int(i) for i in batch["broken"].tolist() if i >= 0)
        now = time.perf_counter()
        self.seconds += now - self._mark
        self._mark = now
        if now - self._written > EVERY and trainer.is_global_zero:
            self._written = now
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch to the curve."""
        loss, right = self._sums()
        entry: dict[str, float] = {"epoch": trainer.current_epoch, "loss": loss, "top1": right}
        if "val/top1" in trainer.callback_metrics:
            entry["val_top1"] = float(trainer.callback_metrics["val/top1"])
        self.curve.append(entry)
        if trainer.is_global_zero:
            self._report(trainer)
        if trainer.logger is not None:
            names = {"loss": "train/loss", "top1": "train/top1", "epoch": "epoch"}
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            trainer.logger.log_metrics(
                {names[k]: v for k, v in entry.items() if k in names}
                | {"train/lr": rate, "train/clips_per_second": self.clips / self.seconds},
                step=trainer.global_step,
            )

    def _sums(self) -> tuple[float, float]:
        loss, right = float(self._loss) / self._steps, float(self._right) / self._seen
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss}; try a lower optim.lr")
        return loss, right

    def _report(self, trainer: Trainer) -> None:
        loss, right = self._sums()
        progress.write(
            self.folder,
            stage="fit",
            step=trainer.global_step,
            steps=int(trainer.estimated_stepping_batches),
            epoch=trainer.current_epoch,
            epochs=trainer.max_epochs,
            loss=round(loss, 4),
            top1=round(right, 4),
            clips_per_second=round(self.clips / max(self.seconds, 1e-9), 1),
        )
