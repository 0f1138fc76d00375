"""How much memory training takes: a device's peak, or on a CPU what is kept to go backward."""

import resource
from typing import Any

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from benchmark.cost.saved import SavedForBackward


class MemoryMonitor(Callback):
    """Measure the memory of training; what tests take after it does not count. Survives a resume.

    Attributes:
        device_peak: bytes of the device's memory at most. None: there was no CUDA device.
        process_peak: bytes of the process at most, from its start to the end of training.
        saved_for_backward: bytes that one forward pass keeps for the backward one. None: not
            counted, on a device or of a model that is spread over several.
    """

    def __init__(self) -> None:
        self.device_peak: int | None = None
        self.process_peak: int | None = None
        self.saved_for_backward: int | None = None
        self._counting: SavedForBackward | None = None
        self._device: torch.device | None = None  # while it trains

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        self._read()
        names = ("device_peak", "process_peak", "saved_for_backward")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier start of the run."""
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the peak of what came before."""
        self._device = pl_module.device
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count in the first step what is kept, where no device has a peak to be read."""
        if pl_module.device.type != "cpu" or self.saved_for_backward is not None:
            return
        if not any(isinstance(each, DTensor) for each in pl_module.parameters()):  # of no storage
            self._counting = SavedForBackward(pl_module)
            self._counting.__enter__()

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Stop to count: the forward pass is over."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave no hooks behind."""
        self._stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the peaks, before anything is tested."""
        self._read()
        self._device = None

    def peaks(self) -> dict[str, Any]:
        """Return the memory of training as a record has it, of the rank that took the most."""
        return {
            "peak_memory_bytes": _most(self.process_peak),
            "peak_device_memory_bytes": _most(self.device_peak),
            "saved_for_backward_bytes": _most(self.saved_for_backward),
        }

    def _stop(self) -> None:
        if self._counting is not None:
            self._counting.__exit__()
            self.saved_for_backward = self._counting.bytes
            self._counting = None

    def _read(self) -> None:
        if self._device is None:
            return
        process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.process_peak = max(process, self.process_peak or 0)
        if self._device.type == "cuda":
            own = torch.cuda.max_memory_allocated(self._device)
            self.device_peak = max(own, self.device_peak or 0)


def _most(own: int | None) -> int | None:
    everyone: list[int | None] = [own]
    if dist.is_available() and dist.is_initialized():
        everyone = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, own)
    return max((each for each in everyone if each is not None), default=None)
