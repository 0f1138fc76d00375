"""A run that is killed, stopped or starved goes on, and ends as if nothing had happened."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import RANKS, Process

from benchmark.errors import UserError
from benchmark.models import checkpoint
from benchmark.recipes import build, compose
from benchmark.runs import progress
from benchmark.runs.process import EXIT_PREEMPTED
from benchmark.training import train
from benchmark.training.checkpointing import AtomicCheckpointIO, CheckpointGuard
from datamodules import files
from datamodules.identity import DataIdentity

NAME = "quick/digits_motion/vit_digits/aim/seed3"
SMALL = (
    *("data.train=64", "data.holdout=16", "data.test=24", "train.batch=4", "train.epochs=4"),
    *("workers=2", "wandb.enabled=false", "trainer.accelerator=cpu"),
)
RUN = "benchmark.run"
KILLS = 11
BATCH_NORMS = "quick/digits_motion/vit_digits/side4video,width=64/seed3"  # trains ten


def start(
    folder: Path, *overrides: str, name: str = NAME, module: Sequence[str] = (*RANKS, RUN)
) -> Process:
    env = {**os.environ, "RUNS": str(folder / "runs"), "RESULTS": str(folder / "results")}
    return Process(*module, name, *SMALL, *overrides, env=env)


def finish(process: Process) -> str:
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr


def record(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    (file,) = (folder / "results").rglob("seed3.json")
    with np.load(file.with_suffix(".npz")) as arrays:
        return json.loads(file.read_text()), dict(arrays)


def place(folder: Path) -> Path:
    """Return where the run works."""
    return next((folder / "runs").glob("scratch/*/*/*/*/seed3"), folder / "runs")


def stage(folder: Path, since: float) -> str:
    """Return the stage of the run, empty before its first line since then."""
    line = progress.last(place(folder))
    return str(line["stage"]) if line and line["time"] > since else ""


def training(folder: Path, since: float) -> bool:
    return stage(folder, since) == "fit"


def wait(process: Process, condition: Callable[[], bool]) -> None:
    """Wait until the condition holds or the process has ended."""
    deadline = time.monotonic() + 120
    while process.poll() is None and not condition():
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"nothing happened for two minutes: {process.communicate()[1]}")
        time.sleep(0.005)


def assert_same(one: Path, other: Path) -> None:
    (straight, scores), (resumed, again) = record(one), record(other)
    assert resumed["metrics"] == straight["metrics"]
    assert resumed["train"]["curve"] == straight["train"]["curve"]
    assert resumed["train"]["steps"] == straight["train"]["steps"]
    assert scores.keys() == again.keys()
    for name, array in scores.items():
        assert np.array_equal(array, again[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder))
    return folder


@pytest.mark.slow
def test_a_run_killed_a_dozen_times_ends_as_if_nothing_had_happened(
    whole: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(0)
    steps = []
    for kill in range(KILLS):
        since = time.time()
        process = start(tmp_path, "save.steps=1")
        if kill % 4:  # in training; else anywhere from the first moment on
            wait(process, partial(training, tmp_path, since))
            time.sleep(chance.uniform(0, 0.6))
        else:
            time.sleep(chance.uniform(0, 1.5))
        if process.poll() is not None:  # it was quicker
            break
        os.kill(process.pid, signal.SIGKILL) if kill % 2 else os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        line = progress.last(place(tmp_path)) or {}
        steps.append(line.get("step", line.get("stage", "nothing")))
    finish(start(tmp_path, "save.steps=1"))
    record_property("killed and resumed", f"at steps {steps} of 64")
    assert record(tmp_path)[0]["train"]["resumed"] >= 5
    assert len(steps) >= 10
    assert_same(whole, tmp_path)


@pytest.mark.slow
def test_sigterm_saves_and_stops(whole: Path, tmp_path: Path) -> None:
    since = time.time()
    process = start(tmp_path, "save.minutes=null")
    wait(process, partial(training, tmp_path, since))  # which is told after the first step
    process.terminate()
    _, stderr = process.communicate()
    assert process.returncode == EXIT_PREEMPTED
    assert "goes on from here" in stderr.splitlines()[-1]
    assert stage(tmp_path, since) == "preempted"
    saved = torch.load(place(tmp_path) / "last.ckpt", weights_only=True)
    assert saved["global_step"] % 16 > 0  # in the middle of an epoch
    finish(start(tmp_path))
    assert record(tmp_path)[0]["train"]["resumed"] == 1
    assert_same(whole, tmp_path)


@pytest.mark.slow
def test_a_tuning_run_resumes_with_its_validation(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start(straight, "train.holdout=0.1"))
    since = time.time()
    process = start(killed, "train.holdout=0.1", "save.steps=5")
    wait(
        process,
        lambda: training(killed, since) and progress.last(place(killed)).get("step", 0) >= 24,
    )
    process.kill()
    process.communicate()
    finish(start(killed, "train.holdout=0.1", "save.steps=5"))
    assert record(killed)[0]["train"]["curve"][-1]["val_top1"] is not None
    assert_same(straight, killed)


@pytest.mark.slow
def test_two_devices_resume_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    finish(start(straight, "trainer.devices=2", "workers=0"))
    since = time.time()
    process = start(stopped, "trainer.devices=2", "workers=1")
    wait(process, partial(training, stopped, since))
    process.terminate()  # only the first rank
    process.communicate()
    assert process.returncode == EXIT_PREEMPTED
    finish(start(stopped, "trainer.devices=2", "workers=1"))
    assert_same(straight, stopped)


@pytest.mark.slow
def test_what_batch_norms_keep_goes_on_where_it_was(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    how = ("workers=0", "train.epochs=2", "save.steps=1")
    finish(start(straight, *how, name=BATCH_NORMS))
    process = start(killed, *how, name=BATCH_NORMS)
    wait(process, lambda: (place(killed) / "last.ckpt").exists())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finish(start(killed, *how, name=BATCH_NORMS))
    assert record(killed)[0]["train"]["resumed"] == 1
    assert_same(straight, killed)
    saved, again = (checkpoint.read(place(each) / "last.ckpt") for each in (straight, killed))
    kept = [name for name in saved.parameters if name.endswith(("running_mean", "running_var"))]
    assert len(kept) == 2 * 10
    assert all(torch.equal(saved.parameters[name], again.parameters[name]) for name in kept)


@pytest.mark.slow
def test_what_the_first_ranks_batch_norms_keep_is_what_all_ranks_test_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(start(tmp_path, "trainer.devices=2", "train.epochs=1", "workers=0", name=BATCH_NORMS))
    saved = checkpoint.read(place(tmp_path) / "last.ckpt")  # the first's
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    recipe = compose.restored(saved.recipe, ["trainer.devices=1"])
    data = build.datamodule(recipe)
    trainer = train.testing_trainer(recipe, lambda videos: None)
    alone = train.evaluate(trainer, train.restore(saved, recipe, data), data)
    assert np.array_equal(alone.scores.numpy(), record(tmp_path)[1]["scores"])


@pytest.mark.slow
def test_an_infinite_loss_ends_the_run_in_one_line_and_is_not_saved(tmp_path: Path) -> None:
    process = start(tmp_path, "optim.lr=1e30", "optim.warmup=0", "save.steps=1")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in stderr and "try a lower optim.lr" in stderr.splitlines()[-1]
    assert (progress.last(place(tmp_path)) or {})["recipe"]["optim"]["lr"] == 1e30
    for file in place(tmp_path).glob("*.ckpt"):
        state = torch.load(file, weights_only=True)["state_dict"]
        assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.slow
def test_a_last_step_that_ruins_the_model_leaves_no_record(tmp_path: Path) -> None:
    process = start(tmp_path, "optim.lr=1e30", "optim.warmup=0", "train.epochs=1", "train.batch=64")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in stderr
    said = "the scores of 24 of 24 videos are not finite, after step 1; try a lower optim.lr"
    assert stderr.splitlines()[-1] == said
    assert not [*(tmp_path / "results").rglob("*.json")]


TRIES = 8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_dead_worker_ends_the_run_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    dying = ["dying_workers", str(TRIES)]
    all_tries = start(tmp_path, name=NAME.rpartition("/")[0], module=dying)
    _, stderr = all_tries.communicate(timeout=500)
    assert all_tries.returncode == 0, stderr
    told = (tmp_path / "runs" / "ended.jsonl").read_text().splitlines()
    assert len(told) == TRIES
    for number, (code, stage, left) in enumerate(map(json.loads, told)):
        said = (tmp_path / "runs" / f"stderr{number}").read_text()
        assert (code, stage, left) == (1, "failed", []), said
        assert "benchmark/one_run.py" not in said  # no traceback of ours; threads may complain
        assert said.splitlines()[-1].startswith("DataLoader worker")
        assert said.splitlines()[-1].endswith("start again to go on")


# A run that fails as torch does when a worker is killed while its loader is half made: some of it
# goes with the error and complains, some when Python exits: not before, for there is little to
# collect since the last time.
HALF_MADE = """
import gc, sys
from benchmark import one_run
from benchmark.runs import process
class Loader:
    def __del__(self):
        raise AttributeError("I was never made")
def train(recipe):
    gc.collect()
    gone, stays = Loader(), Loader()
    stays.itself = stays
    raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed. ")
one_run.train = train
process.leave(one_run.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_line_that_tells_how_a_run_ended_is_the_last(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HALF_MADE, NAME, *SMALL],
        env={**os.environ, "RUNS": str(tmp_path / "runs"), "RESULTS": str(tmp_path / "results")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("I was never made") == 1
    assert ended.stderr.splitlines()[-1].endswith("start again to go on")


@pytest.mark.slow
def test_a_run_that_could_not_write_its_record_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    process = start(tmp_path)
    _, stderr = process.communicate()
    assert process.returncode == 2
    assert len(stderr.splitlines()) == 1 and "cannot make the folder" in stderr


def test_a_checkpoint_of_another_recipe_base_or_version_is_refused() -> None:
    recipe = compose.load(NAME)
    guard = CheckpointGuard(recipe, "base", DataIdentity(classes=(), splits={}))
    saved: dict[str, Any] = {"callbacks": {"TrainingMonitor": {}}}
    guard.on_save_checkpoint(None, None, saved)  # type: ignore[arg-type]
    guard.on_load_checkpoint(None, None, saved)  # type: ignore[arg-type]
    other = asdict(compose.load(NAME, ["optim.lr=1"]))
    for changed, problem in (
        ({"recipe": other}, r"another recipe: optim\.lr was 1\.0, is"),
        ({"base": "other"}, "other backbone weights"),
        ({"callbacks": {"Watch": {}}}, r"older version .* --again"),
    ):
        with pytest.raises(UserError, match=problem):
            guard.on_load_checkpoint(None, None, saved | changed)  # type: ignore[arg-type]


def test_a_checkpoint_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, file)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, file)
    assert torch.load(file, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [file]
