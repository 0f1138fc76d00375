"""A run from end to end, in processes of its own: its record, its scores, and its resurrection."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import Process
from lightning import Trainer
from small_sweep import saved

from benchmark.results import answers, splits
from benchmark.results.record import read
from benchmark.runs import progress
from benchmark.training.train import load_run

pytestmark = pytest.mark.slow

NAME = "quick/digits_motion/vit_digits/zeroi2v/seed1"
SMALL = ["data.train=48", "data.holdout=16", "data.test=16", "train.batch=8", "train.epochs=3"]


def start(folder: Path, *overrides: str) -> Process:
    env = {**os.environ, "RUNS": str(folder / "runs"), "RESULTS": str(folder / "results")}
    return Process("benchmark.run", NAME, *SMALL, *overrides, env=env)


def finish(process: "Process | subprocess.Popen[str]") -> None:
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr


def record(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    (file,) = (folder / "results").rglob("seed1.json")
    with np.load(file.with_suffix(".npz")) as arrays:
        return json.loads(file.read_text()), dict(arrays)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    env = {**os.environ, "RUNS": str(folder / "runs"), "RESULTS": str(folder / "results")}
    plain = [sys.executable, "-m", "benchmark.run", NAME, *SMALL, "wandb.enabled=true"]
    finish(subprocess.Popen(plain, env=env, text=True, stderr=subprocess.PIPE))
    return folder


def test_a_record_says_what_is_needed_to_believe_it(whole: Path) -> None:
    found, arrays = record(whole)
    assert found["recipe"]["seed"] == 1
    assert found["data"]["splits"]["train"]["videos"] == 48
    assert found["data"]["order_blind_ceiling"] == 0.5
    assert len(found["environment"]["weights"]) == 64
    assert len(found["train"]["curve"]) == 3
    assert found["train"]["steps"] == 3 * 48 // 8
    assert found["cost"]["merged"]
    assert found["cost"]["trained_parameters"] > found["cost"]["head_parameters"] > 0
    assert found["metrics"]["split"] == "test"
    assert found["metrics"]["videos"] == len(arrays["index"]) == 16
    right = arrays["scores"].argmax(axis=1) == arrays["label"]
    assert found["metrics"]["top1"] == right.mean()
    assert found["metrics"]["merged_score_change"] < 1e-5
    assert found["name"].startswith("scratch/")  # it was overridden


def test_a_record_says_what_a_run_cost(whole: Path) -> None:
    cost = record(whole)[0]["cost"]
    assert 0 < cost["train_seconds"] + cost["test_seconds"] < cost["device_seconds"]  # of 1 device
    assert cost["inference_clips_per_second"] > 0 and cost["saved_for_backward_bytes"] > 0
    assert cost["peak_memory_bytes"] > 0 and cost["peak_device_memory_bytes"] is None


def test_a_record_follows_from_the_answers_beside_it(whole: Path) -> None:
    (file,) = (whole / "results").rglob("seed1.json")
    found = read(file)
    tested = splits.read(file, found.data.splits["test"].sha256)
    assert len(set(tested.clusters.tolist())) <= 8 < len(tested) == 16  # every video has a twin
    for key, value in answers.metrics_of(answers.read(file), tested).items():
        assert value == pytest.approx(getattr(found.metrics, key), rel=1e-12), key
    assert found.metrics.merged_top1 is not None
    assert str(splits.path(file, "")).startswith(str(whole / "results" / "scratch"))


def test_wandb_keeps_one_offline_run(whole: Path) -> None:
    assert len(list((whole / "runs").rglob("offline-run-*"))) == 1
    assert len(list((whole / "runs").rglob("run-*.wandb"))) == 1


def test_a_killed_run_ends_as_if_nothing_had_happened(whole: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "wandb.enabled=false")
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not saved(tmp_path, "zeroi2v"):
        time.sleep(0.01)  # the first epoch ends
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((tmp_path / "results").rglob("*.json"))
    finish(start(tmp_path, "wandb.enabled=false"))
    (straight, scores), (resumed, again) = record(whole), record(tmp_path)
    assert resumed["train"]["resumed"] == 1
    assert resumed["metrics"] == straight["metrics"]
    assert resumed["train"]["curve"] == straight["train"]["curve"]
    for name, array in scores.items():
        assert np.array_equal(array, again[name]), name


def test_a_checkpoint_of_another_recipe_is_refused(whole: Path, tmp_path: Path) -> None:
    (checkpoint,) = (whole / "runs").rglob("last.ckpt")
    other = tmp_path / "runs" / checkpoint.parent.relative_to(whole / "runs")
    other.mkdir(parents=True)
    saved = torch.load(checkpoint, weights_only=True)
    saved["recipe"]["optim"]["lr"] = 0.5
    torch.save(saved, other / "last.ckpt")
    process = start(tmp_path, "wandb.enabled=false")
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "optim.lr was 0.5, is 0.001" in stderr
    line = progress.last(other)
    assert line is not None
    assert line["stage"] == "failed"


def test_scores_are_optional_and_answers_are_not(tmp_path: Path) -> None:
    finish(start(tmp_path, "save.scores=false", "train.epochs=1", "wandb.enabled=false"))
    (file,) = (tmp_path / "results").rglob("seed1.json")
    assert {each.name for each in file.parent.iterdir()} == {file.name, answers.path(file).name}


def test_any_run_fits_in_anyones_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["data.train=16", "data.holdout=16", "data.test=16", f"data.root={tmp_path}"]
    task, data = load_run("quick/digits_motion/vit_digits/aim", overrides)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        enable_checkpointing=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    trainer.fit(task, data)
    assert trainer.global_step == 4  # of 4 clips each
