"""What a run tells while it trains: progress lines, its curve, how long it waited for data."""

import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from benchmark.runs import progress

EVERY = 0.5, 10.0  # seconds between two progress lines, at first and after half an hour
PACE = 10.0  # times the longest step, after which a run without one has stalled
STARTING = 4.0  # times the patience with a step, which a run may take to its first


class TrainingMonitor(Callback):
    """Measure training, write progress lines, and keep the curve; survives a resume.

    Args:
        folder: Where the run works.
        test_share: How much of the run's work is its test, from 0 to 1; None: not known.
        patience: Seconds without a step after which a run of usual pace has stalled.

    Attributes:
        curve: an entry per epoch: loss and accuracy on training clips, accuracy on the holdout.
        seconds: spent in training, over all starts of the run.
        waiting: seconds of these in which the model waited for clips.
        clips: trained on, over all ranks.
        broken: indices of training videos that could not be decoded.
        resumed: how often the run was taken up again.
    """

    def __init__(
        self, folder: Path, test_share: float | None = None, patience: float = math.inf
    ) -> None:
        self.folder, self.test_share, self.patience = folder, test_share, patience
        self.curve: list[dict[str, Any]] = []  # of `Epoch`s
        self.broken: set[int] = set()
        self.seconds = self.waiting = 0.0
        self.clips = self.resumed = 0
        self._mark = self._written = self._beat = 0.0
        self._longest = 0.0  # seconds from one step, of training or of a test, to the next
        self._loss = self._right = torch.zeros((), dtype=torch.float64)  # sums over the epoch's
        self._seen = 0  # clips
        self._odd = torch.tensor(-1)  # the first step whose loss was not finite
        self._tested = self._to_test = 0  # videos, of all passes over them

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from, of all ranks."""
        names = ("curve", "seconds", "waiting", "clips", "resumed")
        state = {name: getattr(self, name) for name in names}
        return state | {"broken": sorted(self._all_broken()), "sums": self.sums()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier start of the run."""
        state = dict(state_dict)
        loss, right, seen = state.pop("sums")
        for name, value in state.items():
            setattr(self, name, value)
        self.broken = set(state["broken"])
        self.resumed += 1
        if not dist.is_initialized() or dist.get_rank() == 0:  # they are the sums of all ranks
            self._loss, self._right = torch.tensor([loss, right], dtype=torch.float64).unbind()
            self._seen = int(seen)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, in the middle of an epoch if that is where the run goes on."""
        self._mark = self._beat = time.perf_counter()
        dtype = torch.float32 if pl_module.device.type == "mps" else torch.float64  # it has no 64
        self._loss = self._loss.to(pl_module.device, dtype)
        self._right = self._right.to(pl_module.device, dtype)
        self._odd = self._odd.to(pl_module.device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock again: validation and saving are no waiting."""
        self._mark = time.perf_counter()

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
        self._loss = self._loss + outputs["loss_sum"]
        odd = (self._odd < 0) & ~outputs["loss_sum"].isfinite()
        self._odd = torch.where(odd, trainer.global_step, self._odd)  # without waiting for it
        self._right = self._right + outputs["right"]
        self._seen += _own(batch)
        self.clips += len(batch["label"]) * trainer.world_size
        self.broken.update(int(i) for i in batch["broken"].tolist() if i >= 0)
        now = time.perf_counter()
        self.seconds += now - self._mark
        self._mark = now
        if trainer.is_global_zero and self._is_due():
            self._report(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch to the curve, as all ranks saw it."""
        loss, right = self._means(*self.sums())
        entry: dict[str, Any] = {"epoch": trainer.current_epoch, "loss": loss, "top1": right}
        if "val/top1" in trainer.callback_metrics:
            entry["val_top1"] = float(trainer.callback_metrics["val/top1"])
        self.curve.append(entry)
        if trainer.is_global_zero:
            self._report(trainer)
        self._loss, self._right, self._seen = self._loss * 0, self._right * 0, 0
        self.broken = self._all_broken()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write a progress line now and then: the run is alive."""
        if trainer.is_global_zero and self._is_due() and self._seen:
            self._report(trainer)

    def start_test(self, videos: int) -> None:
        """Tell that the test begins, of so many videos, over all passes."""
        self._tested, self._to_test = 0, videos
        self._beat = time.perf_counter()
        self._tell(stage="test", step=0, steps=videos)

    def tested(self, videos: int) -> None:
        """Count so many more videos as tested, and write a progress line now and then."""
        self._tested = min(self._to_test, self._tested + videos)
        if self._is_due():
            self._tell(stage="test", step=self._tested, steps=self._to_test)

    def sums(self) -> list[float]:
        """Return the epoch's sums so far over all ranks: loss, right answers, clips."""
        own = [float(self._loss), float(self._right), float(self._seen)]
        return [sum(each) for each in zip(*_gathered(own), strict=True)]

    def times(self) -> dict[str, Any]:
        """Return how long training took and how fast it was, as a record has it."""
        return {
            "train_seconds": round(self.seconds, 2),
            "clips_per_second": round(self.clips / self.seconds, 1) if self.seconds else None,
            "data_wait": round(self.waiting / self.seconds, 4) if self.seconds else None,
        }

    def _means(self, loss: float, right: float, seen: float) -> tuple[float, float]:
        """Return mean loss and accuracy over the clips seen."""
        if not math.isfinite(loss):
            at = f" at step {int(self._odd)}" if self._odd >= 0 else ""  # else on another rank
            raise FloatingPointError(f"the loss became {loss}{at}; {progress.DIVERGED}")
        return loss / seen, right / seen

    def _all_broken(self) -> set[int]:
        return set().union(*_gathered(self.broken))

    def _is_due(self) -> bool:
        """Return whether it is time for a progress line after a step; if so, note that it comes."""
        now = time.perf_counter()
        self._longest, self._beat = max(self._longest, now - self._beat), now
        due = now - self._written > self._pause
        if due:
            self._written = now
        return due

    @property
    def _pause(self) -> float:
        """Seconds between two progress lines."""
        shortest, longest = EVERY
        return min(longest, max(shortest, self.seconds / 180))

    def _tell(self, stage: progress.Stage, **said: Any) -> None:
        """Write a progress line that says when the next is to come, by the run's own pace."""
        within = self._pause + max(self.patience, PACE * self._longest)
        own: dict[str, Any] = {"within": round(within, 1)} if math.isfinite(within) else {}
        progress.write(self.folder, stage=stage, **said, **own)

    def _report(self, trainer: Trainer) -> None:
        loss, right = self._means(float(self._loss), float(self._right), self._seen)
        self._tell(
            stage="fit",
            step=trainer.global_step,
            steps=int(trainer.estimated_stepping_batches),
            epoch=trainer.current_epoch,
            epochs=trainer.max_epochs,
            loss=round(loss, 4),
            top1=round(right, 4),
            clips_per_second=round(self.clips / max(self.seconds, 1e-9), 1),
            **({} if self.test_share is None else {"test_share": round(self.test_share, 4)}),
        )


def _own(batch: Any) -> int:
    """Return how many clips of a batch are the step's own, and do not just fill it up."""
    weight = batch.get("weight")  # on the host
    return len(batch["label"]) if weight is None else int((weight > 0).sum())


def _gathered(own: Any) -> list[Any]:
    """Return what every rank has."""
    if not dist.is_initialized():
        return [own]
    everyone = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, own)
    return everyone
