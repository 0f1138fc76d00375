"""Every paper's run: says what it is, can be built, and learns from its dataset's files."""

import os
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from make_datasets import WRITERS
from make_videos import scene, write

from benchmark.recipes import compose
from benchmark.recipes.buildable import demand_buildable
from benchmark.results import published
from benchmark.training.optim import groups
from benchmark.training.train import load_run
from datamodules import files

PROTOCOLS = compose.RECIPES / "protocols"
RUNS = sorted(
    str(file.relative_to(PROTOCOLS).with_suffix(""))
    for protocol in published.PROTOCOLS
    for file in (PROTOCOLS / protocol).glob("*/*/*.yaml")
)
UNPRINTED = re.compile("prints its accuracy|number is promised|without its (views|frames)")


@cache
def _rows() -> tuple[published.Row, ...]:
    return published.read().rows


def _opening(run: str) -> list[str]:
    """Return the comment that a run's file opens with."""
    lines = (PROTOCOLS / f"{run}.yaml").read_text().splitlines()
    return lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_file_opens_with_the_command_the_number_and_what_differs(run: str) -> None:
    command, *rest = _opening(run)
    assert command == f"# benchmark run {run} data.root=DIR"
    text = " ".join(line.removeprefix("# ") for line in rest)
    recipe = compose.load(run)
    views = recipe.test.clips * recipe.test.crops
    printed = published.like(_rows(), run, frames=recipe.clip.frames, views=views)
    if printed is None or printed.top1 is None:
        assert UNPRINTED.search(text), run
    else:
        assert f"{printed.top1:.1f} %" in text
    assert f"{recipe.clip.frames} frames" in text
    assert all(len(line) <= 120 for line in _opening(run))


@pytest.mark.slow
def test_runs_stand_under_the_protocol_of_their_frames() -> None:
    for run in RUNS:
        protocol = run.partition("/")[0]
        if protocol != "paper":
            assert compose.load(run).clip.frames == int(protocol.removeprefix("paper_")[:-1])
    assert len(RUNS) == 55


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_built_and_decays_what_it_says(run: str) -> None:
    recipe = compose.load(run)
    optim, model = recipe.optim, demand_buildable(recipe)
    listed = groups(
        model,
        lr=optim.lr,
        head_lr=optim.head_lr,
        layer_decay=optim.layer_decay,
        weight_decay=optim.weight_decay,
        no_decay=optim.no_decay,
    )
    decays = {group["weight_decay"] for group in listed}
    assert decays == ({0.0, optim.weight_decay} if optim.no_decay else {optim.weight_decay})
    rates = {group["lr"] for group in listed}
    assert max(rates) == (optim.head_lr or optim.lr)
    depth = len(model.vit.blocks)
    layered = {optim.lr * optim.layer_decay**i for i in range(depth + 2)}
    assert rates <= layered | {optim.head_lr} and (optim.layer_decay == 1 or rates == layered)


def _kinds() -> list[str]:
    """Return runs in which every method, and every dataset, is there at least once."""
    found, seen = list[str](), set[str]()
    for run in RUNS:
        _, data, _, method = run.split("/")
        if new := {data, method} - seen:
            found.append(run)
            seen |= new
    return found


SMALL = (  # the run, but for a tiny ViT, tiny clips and few of them
    *("backbone.weights=random", "backbone.options.embed_dim=64", "backbone.options.depth=2"),
    *("backbone.options.num_heads=4", "clip.size=32", "train.batch=4", "test.batch=24"),
    *("trainer.precision=32-true", "data.sizes=any", "workers=0", "wandb.enabled=false"),
    "train.augment.short_side=[40,48]",
)
SMALLER = {"evl": ("method.layers=2",), "side4video": ("method.width=64",)}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of the datasets as their makers publish them; all videos are one."""
    folder = tmp_path_factory.mktemp("published")
    video = write(folder / "video.mp4", scene(20))
    found = {}
    for name in sorted({run.split("/")[1] for run in RUNS}):
        found[name] = folder / name
        found[name].mkdir()
        classes: Any = import_module(f"datamodules.datasets.{name}").CLASSES
        _, splits = WRITERS[name](found[name], classes + 3, classes)
        for path in {path for listed in splits.values() for path, _ in listed}:
            place = found[name] / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            os.link(video, place)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("run", _kinds())
def test_a_run_learns_a_step_from_its_datasets_files(
    run: str, roots: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(files, "RUNS", tmp_path)
    _, data, _, method = run.split("/")
    more = (f"data.root={roots[data]}", *SMALLER.get(method, ()))
    task, videos = load_run(run, [*SMALL, *more])
    before = {name: p.detach().clone() for name, p in task.model.named_parameters()}
    losses: list[float] = []
    task.steps = 10
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trained = task.training_step

    def noted(batch: dict[str, torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        assert len(batch["video"]) == 4 and (batch["broken"] < 0).all()
        out = trained(batch, batch_idx)
        losses.append(out["loss"].item())
        return out

    monkeypatch.setattr(task, "training_step", noted)
    trainer.fit(task, videos)
    assert trainer.global_step == 1 and np.isfinite(losses).all() and len(losses) == 1
    moved = {n for n, p in task.model.named_parameters() if not p.equal(before[n])}
    trains = {n for n, p in task.model.named_parameters() if p.requires_grad}
    assert moved <= trains and {"head.weight"} <= moved
