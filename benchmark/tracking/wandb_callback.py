"""The window: a run in wandb. It is watched there; nothing is read back, nothing depends on it.

wandb writes with a delay, so a kill loses what it was told last, and it cannot take up a run again
offline. So the points of the curves are kept in the run's checkpoint, and a resumed run shows all
of them again: offline as one whole run, whose earlier files are removed; online from where the
server's ends. Steps that are trained twice are told once, and none is missing.
"""

import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from benchmark.recipes.name import RunName
from benchmark.tracking import wandb_session
from benchmark.tracking.monitor import TrainingMonitor

POINTS = 200  # of a run's curves, about, and one at the end of every epoch


class WandbCallback(Callback):
    """Show a run while it trains: curves, learning rates, speed and memory, by optimiser step.

    To be listed after the `TrainingMonitor` it asks, and before what saves its state.

    Args:
        name: of the run, which is also its id in wandb.
        folder: where the run works.
        watch: measures the run.
        project: wandb's word for all of this.
        group: the runs it is compared with, the sweep's.
        config: the resolved recipe.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        watch: TrainingMonitor,
        *,
        project: str,
        group: str,
        config: Mapping[str, Any],
    ) -> None:
        self.name, self.folder, self.watch = name, folder, watch
        self.project, self.group, self.config = project, group, dict(config)
        self.history: dict[int, dict[str, float]] = {}
        self._before = [0.0] * 6  # totals at the last point
        self._steps = 0  # of the optimiser, in the whole run
        self._rates: dict[str, float] = {}
        self._end: dict[str, float] = {}  # the point at an epoch's last step, until the epoch ends
        self._run: Any = None
        self._opened = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run shows again."""
        return {"history": self.history, "before": self._before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier start of the run."""
        self.history, self._before = dict(state_dict["history"]), list(state_dict["before"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the window, on one rank."""
        self._steps = int(trainer.estimated_stepping_batches)
        self._open(trainer)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Note the rates: after the step, the schedule has set the next one's."""
        rates = (group["lr"] for group in optimizer.param_groups)
        self._rates = {f"lr/group{i}": float(rate) for i, rate in enumerate(rates)}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show a point if it is time to, between two steps of the optimiser."""
        if trainer.is_last_batch:
            self._end = self._point(trainer, pl_module.device)
            self._before[:3] = [0.0] * 3  # sums of an epoch
        elif (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            if trainer.global_step % max(1, self._steps // POINTS) == 0:
                self._show(trainer.global_step, self._point(trainer, pl_module.device))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch's last point, with what validation found."""
        found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        last = self.watch.curve[-1]
        means = {f"epoch/{key}": last[key] for key in ("loss", "top1")}
        self._show(trainer.global_step, self._end | means | found)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the window of a run that ends early."""
        self._close(exit_code=1)

    def finish(
        self, trainer: Trainer, results: Mapping[str, Any], files: Sequence[Path] = ()
    ) -> None:
        """Write the summary, once, and close the window.

        Args:
            trainer: the run's.
            results: the parts of its record, nested: {"metrics": {"top1": 0.5}} is "metrics/top1".
            files: its checkpoint and what goes with it, to be kept as an artifact. None: nothing.
        """
        self._open(trainer)  # a run that was killed in its test has nothing left to train
        with self._harmless():
            if self._run is not None:
                self._run.summary.update(dict(_flat(results)))
                wandb_session.keep(self._run, files)
        self._close()

    def _open(self, trainer: Trainer) -> None:
        if self._opened or not trainer.is_global_zero:
            return
        self._opened = True
        run = RunName.parse(self.name)
        with self._harmless():
            self._run = wandb_session.opened(
                self.name,
                self.folder,
                project=self.project,
                group=self.group,
                job_type=run.row,
                tags=(run.protocol, run.dataset, run.backbone, f"seed{run.seed}"),
                config=self.config,
                resume=bool(self.history),
            )
            for metric in ("step", "epoch", "*"):
                step_metric = None if metric == "step" else "step"
                self._run.define_metric(metric, step_metric=step_metric, summary="none")
            for step, values in self.history.items():
                self._tell(step, values)

    def _point(self, trainer: Trainer, device: torch.device) -> dict[str, float]:
        """Return the means since the last point, and what is so now."""
        watch = self.watch
        now = [*watch.sums(), watch.seconds, watch.waiting, float(watch.clips)]
        since = [b - a for a, b in zip(self._before, now, strict=True)]
        loss, right, seen, seconds, waiting, clips = since
        self._before = now
        return {
            "epoch": trainer.global_step / self._steps * (trainer.max_epochs or 1),
            "train/loss": loss / seen,
            "train/top1": right / seen,
            "speed/clips_per_second": clips / max(seconds, 1e-9),
            "speed/data_wait": waiting / max(seconds, 1e-9),
            **self._rates,
            **_memory(device),
        }

    def _show(self, step: int, values: dict[str, float]) -> None:
        self.history[step] = values
        with self._harmless():
            self._tell(step, values)

    def _tell(self, step: int, values: Mapping[str, float]) -> None:
        """Log a point, unless this is a resumed run and the server has it."""
        if self._run is not None and step >= self._run.starting_step:
            self._run.log({"step": step, **values}, step=step)

    def _close(self, exit_code: int = 0) -> None:
        with self._harmless():
            if self._run is not None:
                wandb_session.closed(self._run, exit_code)
        self._run = None

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Turn whatever goes wrong with wandb into one line; the run goes on without it."""
        try:
            yield
        except Exception as error:
            self._run = None
            wandb_session.give_up(error, "the run goes on without it")


def _memory(device: torch.device) -> dict[str, float]:
    """Return the peak so far in bytes: the device's, or where it tells none, the process's."""
    if device.type == "cuda":
        return {"memory/device_peak_bytes": float(torch.cuda.max_memory_allocated(device))}
    return {"memory/peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0}


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is in nested mappings by its path; what is None is not known, and left out."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        elif value is not None:
            yield f"{prefix}{key}", value
