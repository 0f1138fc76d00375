"""The LightningModule: what it trains, saves, resumes and evaluates."""

from pathlib import Path

import pytest
import timm
import torch
from lightning import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.methods.aim import aim
from benchmark.methods.st_adapter import st_adapter
from benchmark.models import checkpoint
from benchmark.models.video_vit import VideoViT
from benchmark.tracking.monitor import TrainingMonitor
from benchmark.training.checkpointing import ResumeCheckpoint
from benchmark.training.task import Classification


class Noise(Dataset[dict[str, Tensor]]):
    """Clips of noise, or videos of `views` of them."""

    def __init__(self, views: int = 0) -> None:
        self.shape = (*([views] if views else []), 3, 2, 32, 32)

    def __len__(self) -> int:
        return 13

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        video = torch.randn(self.shape, generator=torch.Generator().manual_seed(index))
        numbers = {"label": index % 5, "index": index, "broken": -1}
        return {"video": video, **{key: torch.tensor(value) for key, value in numbers.items()}}


def classification(method: str = "aim") -> Classification:
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=32, num_classes=0, depth=2)
    model = VideoViT(vit, frames=2, num_classes=5, dropout=0.5)
    {"aim": aim, "st_adapter": st_adapter}[method](model)  # type: ignore[operator]
    return Classification(model, lr=1e-2, warmup=0.5, seed=3, test_batch=4)


@pytest.mark.parametrize(("ranks", "size"), [(1, 5), (3, 2), (2, 2)])
def test_a_smaller_step_learns_what_its_clips_say_on_average(ranks: int, size: int) -> None:
    """As the sampler deals 5 clips of a step of 12: `size` at once, some of which count nothing."""
    task = classification().double().eval()  # nothing is dropped
    clips = [Noise()[index] for index in range(5)]

    def batch(numbers: list[int]) -> dict[str, Tensor]:
        made = {key: torch.stack([clips[i % 5][key] for i in numbers]) for key in clips[0]}
        return {**made, "video": made["video"].double()}

    def gradients() -> list[Tensor]:
        found = [p.grad.clone() for p in task.parameters() if p.grad is not None]
        task.zero_grad()
        return found

    task.training_step(batch([*range(5)]), 0)["loss"].backward()
    expected, often, sums = gradients(), 12 // ranks // size if ranks > 1 else 1, [0.0, 0.0]
    part, share = 12 // ranks // often, -(-5 // ranks)
    for rank in range(ranks):
        numbers = [*range(rank * share, (rank + 1) * share)]
        for start in range(0, share, size):
            mine = numbers[start : start + size]
            weights = [12 / 5 * len(mine) / part * (i < 5) for i in mine]
            out = task.training_step({**batch(mine), "weight": torch.tensor(weights)}, 0)
            (out["loss"] / ranks / often).backward()
            sums[0] += float(out["loss_sum"])
            sums[1] += float(out["right"])
    torch.testing.assert_close(gradients(), expected, rtol=1e-6, atol=1e-9)
    whole = task.training_step(batch([*range(5)]), 0)
    assert sums == pytest.approx([float(whole["loss_sum"]), float(whole["right"])], rel=1e-5)


def trainer(folder: Path, epochs: int, *callbacks: Callback) -> Trainer:
    return Trainer(
        callbacks=[*callbacks],
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )


def fit(folder: Path, epochs: int, task: Classification, resume: Path | None = None) -> Trainer:
    it = trainer(folder, epochs)
    it.fit(task, DataLoader(Noise(), batch_size=4), ckpt_path=resume)
    return it


def test_only_what_trains_changes_and_is_saved(tmp_path: Path) -> None:
    task = classification()
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    trained = checkpoint.trained(task).keys()
    fit(tmp_path, 2, task).save_checkpoint(tmp_path / "it.ckpt")
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name not in trained), name
    saved = torch.load(tmp_path / "it.ckpt", weights_only=True)
    assert saved["state_dict"].keys() == trained


@pytest.mark.slow
def test_resuming_gives_what_an_uninterrupted_run_gives(tmp_path: Path) -> None:
    """Dropout and drop-path are on: their draws depend on (seed, epoch, step) alone."""
    straight = classification()
    fit(tmp_path, 4, straight)

    half = classification()
    it = trainer(tmp_path, 4)
    saved = tmp_path / "half.ckpt"

    def stop(epoch: int) -> None:
        it.save_checkpoint(saved)

    half.on_train_epoch_end = lambda: stop(it.current_epoch) if it.current_epoch == 1 else None  # type: ignore[method-assign]
    it.fit(half, DataLoader(Noise(), batch_size=4))
    resumed = classification()
    fit(tmp_path, 4, resumed, saved)
    for (name, a), b in zip(
        straight.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_a_checkpoint_of_another_method_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, 1, classification("aim")).save_checkpoint(tmp_path / "it.ckpt")
    with pytest.raises(ValueError, match="disagree"):
        fit(tmp_path, 2, classification("st_adapter"), tmp_path / "it.ckpt")


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_evaluation_does_not_depend_on_the_batch(tmp_path: Path, batch_size: int) -> None:
    task = classification()
    it = trainer(tmp_path, 1)
    metrics = it.test(task, DataLoader(Noise(views=3), batch_size=batch_size), verbose=False)[0]
    assert task.evaluated is not None
    assert torch.equal(task.evaluated.index, torch.arange(13))
    with torch.no_grad():
        videos = torch.stack([Noise(views=3)[i]["video"] for i in range(13)])
        p = task.model.eval()(videos.flatten(0, 1)).double().softmax(-1).unflatten(0, (13, 3))
    torch.testing.assert_close(task.evaluated.scores, p.mean(1).float(), atol=1e-5, rtol=0)
    right = p.mean(1).argmax(-1) == torch.arange(13) % 5
    assert metrics["test/top1"] == pytest.approx(right.double().mean().item())


def test_a_loss_that_is_not_finite_is_told_with_its_step(tmp_path: Path) -> None:
    class Odd(Noise):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            item = super().__getitem__(index)
            return {**item, "video": item["video"] * (float("inf") if index == 9 else 1)}

    it = trainer(tmp_path, 1, TrainingMonitor(tmp_path))
    with pytest.raises(
        FloatingPointError, match=r"loss became nan at step 3; try a lower optim\.lr"
    ):
        it.fit(classification(), DataLoader(Odd(), batch_size=4))


def test_a_parameter_that_is_not_finite_after_the_last_step_is_told(tmp_path: Path) -> None:
    task = classification()
    task.lr, task.warmup = float("inf"), 0.0
    save = ResumeCheckpoint(tmp_path / "last.ckpt", steps=None, minutes=None)
    it = trainer(tmp_path, 1, TrainingMonitor(tmp_path), save)
    with pytest.raises(FloatingPointError, match="infinite or not a number by step 1; try a lower"):
        it.fit(task, DataLoader(Noise(), batch_size=13))
    assert not (tmp_path / "last.ckpt").exists()
