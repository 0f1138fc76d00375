"""The memory of training is read when training ends, and of autograd what it keeps is counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmark.cost.saved import SavedForBackward
from benchmark.tracking import memory
from benchmark.tracking.inference_speed import InferenceSpeed
from benchmark.tracking.memory import MemoryMonitor

SIZE, WIDTH, BATCH = 4, 6, 2


class Task(LightningModule):
    """Two layers: of the forward pass autograd keeps the input of each."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(SIZE, WIDTH, bias=False), nn.Linear(WIDTH, 1))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        out: Tensor = self.layers(batch[0]).sum()
        return out

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.layers(batch["video"].flatten(0, 1))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Videos(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Three videos of five views, and one that stands in for none."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"video": torch.ones(5, SIZE), "index": torch.tensor(index if index < 3 else -1)}


def trainer(folder: Path, *callbacks: Callback, epochs: int = 1) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def clips() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.ones(6, SIZE)), batch_size=BATCH)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the memory of this process in KiB, as a list of one number that a test may change."""
    now = [1000]
    usage = lambda who: SimpleNamespace(ru_maxrss=now[0])  # noqa: E731
    monkeypatch.setattr(memory.resource, "getrusage", usage)
    return now


def test_what_tests_take_after_training_does_not_count(tmp_path: Path, process: list[int]) -> None:
    monitor, task = MemoryMonitor(), Task()
    it = trainer(tmp_path, monitor)
    it.fit(task, clips())
    process[0] = 9000
    it.test(task, DataLoader(Videos(), batch_size=2), verbose=False)
    assert monitor.peaks()["peak_memory_bytes"] == 1000 * 1024
    assert monitor.peaks()["peak_device_memory_bytes"] is None


def test_the_peak_of_a_device_is_reset_before_training_and_read_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peak = [7]  # of what came before
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda device: peak.__setitem__(0, 0)
    )
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak[0])
    monitor, module = MemoryMonitor(), SimpleNamespace(device=torch.device("cuda"))
    monitor.on_train_start(None, module)  # type: ignore[arg-type]
    monitor.on_train_batch_start(None, module, None, 0)  # type: ignore[arg-type]
    peak[0] = 5
    monitor.on_train_end(None, module)  # type: ignore[arg-type]
    peak[0] = 9  # of a test
    assert monitor.peaks()["peak_device_memory_bytes"] == 5
    assert monitor.peaks()["saved_for_backward_bytes"] is None
    assert monitor.state_dict()["device_peak"] == 5


def test_a_resumed_run_keeps_the_peak_of_its_earlier_start(
    tmp_path: Path, process: list[int]
) -> None:
    it = trainer(tmp_path, MemoryMonitor())
    it.fit(Task(), clips())
    it.save_checkpoint(tmp_path / "it.ckpt")
    process[0] = 500
    done, on = MemoryMonitor(), MemoryMonitor()
    trainer(tmp_path, done).fit(Task(), clips(), ckpt_path=tmp_path / "it.ckpt")  # nothing is left
    trainer(tmp_path, on, epochs=2).fit(Task(), clips(), ckpt_path=tmp_path / "it.ckpt")
    for monitor in (done, on):
        assert monitor.peaks()["peak_memory_bytes"] == 1000 * 1024
        assert monitor.peaks()["saved_for_backward_bytes"] == 4 * BATCH * (SIZE + WIDTH)


def test_a_storage_counts_once_and_parameters_do_not() -> None:
    model, x = nn.Linear(SIZE, WIDTH), torch.ones(BATCH, SIZE)
    with SavedForBackward(model) as saved:
        y = model(x.requires_grad_())  # keeps x, and the weight, which does not count
        z = y.exp()  # keeps its result
        (z * z).sum()  # keeps the same
    assert saved.bytes == 4 * BATCH * (SIZE + WIDTH)


def test_what_a_frozen_layer_needs_not_is_not_kept() -> None:
    model = nn.Sequential(nn.Linear(SIZE, WIDTH), nn.Linear(WIDTH, 1)).requires_grad_(False)
    model[1].requires_grad_(True)
    with SavedForBackward(model) as saved:
        model(torch.ones(BATCH, SIZE)).sum()
    assert saved.bytes == 4 * BATCH * WIDTH


def test_counting_changes_no_step_and_leaves_no_hooks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    counted, plain = Task(), Task()
    plain.load_state_dict(counted.state_dict())
    trainer(tmp_path, MemoryMonitor()).fit(counted, clips())
    trainer(tmp_path).fit(plain, clips())
    for one, other in zip(counted.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)
    with SavedForBackward(nn.Linear(1, 1)) as saved:
        pass
    assert saved.bytes == 0


def test_a_step_that_fails_leaves_no_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Task, batch: Any, batch_idx: int) -> Tensor:
        raise RuntimeError("broken")

    monkeypatch.setattr(Task, "training_step", broken)
    monitor = MemoryMonitor()
    with pytest.raises(RuntimeError, match="broken"):
        trainer(tmp_path, monitor).fit(Task(), clips())
    assert monitor._counting is None


def test_speed_is_that_of_the_last_test_and_of_its_forward_passes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("benchmark.tracking.inference_speed.time.perf_counter", lambda: now[0])
    speed, task = InferenceSpeed(), Task()
    assert speed.clips_per_second() is None
    step = task.layers.forward

    def slow(seconds: float) -> None:
        def forward(x: Tensor) -> Tensor:
            now[0] += seconds
            out: Tensor = step(x)
            return out

        task.layers.forward = forward  # type: ignore[method-assign,assignment]

    class Waiting(Callback):
        def on_test_batch_end(self, *arguments: Any) -> None:
            now[0] += 1000  # decoding

    it = trainer(tmp_path, speed, Waiting())
    for seconds in (1.0, 0.25):
        slow(seconds)
        it.test(task, DataLoader(Videos(), batch_size=2), verbose=False)
        assert speed.clips_per_second() == 15 / (2 * seconds)  # 3 videos × 5 views, 2 batches


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_forgets_what_came_before_and_does_not_see_the_test() -> None:
    monitor = MemoryMonitor()
    module = SimpleNamespace(device=torch.device("cuda", 0))
    torch.empty(1 << 24, device="cuda")  # before, and gone
    monitor.on_train_start(None, module)  # type: ignore[arg-type]
    held = torch.cuda.memory_allocated()
    torch.empty(1 << 20, device="cuda")
    monitor.on_train_end(None, module)  # type: ignore[arg-type]
    torch.empty(1 << 24, device="cuda")  # the test
    assert monitor.peaks()["peak_device_memory_bytes"] == held + 4 * (1 << 20)
