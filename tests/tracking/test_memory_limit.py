"""A run whose memory runs out ends as one that was given what fits, at the same place."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import numpy as np
import pytest
import torch
from places import FIXTURES

from benchmark.recipes import compose
from benchmark.runs import memory, process
from benchmark.runs.memory import Room
from benchmark.runs.process import RunCommand
from benchmark.tracking.memory_limit import MemoryLimit, OutOfMemory, within_memory
from benchmark.training.checkpointing import recount

NAME = "quick/digits_motion/vit_digits/zeroi2v/seed3"
SMALL = (
    *("data.train=72", "data.holdout=16", "data.test=16", "train.batch=12", "train.epochs=2"),
    *("workers=1", "wandb.enabled=false", "trainer.accelerator=cpu", "save.minutes=null"),
)


def run(folder: Path, *module: str, how: tuple[str, ...] = ()) -> process.Process:
    """Run to its end, as a sweep does."""
    places = {name: str(folder / name.lower()) for name in ("RUNS", "RESULTS")}
    recipe = compose.load(NAME, SMALL)
    argv = (sys.executable, "-m", *module, NAME, *SMALL, *how)
    record = folder / "results" / f"{recipe.name}.json"
    order = RunCommand(argv, folder / "runs" / recipe.name, record, places)
    path = {"PYTHONPATH": f"{FIXTURES}:{os.getcwd()}", "CUDA_VISIBLE_DEVICES": ""}
    started = process.start(order, path, server=forked.server())
    assert started.wait(300)
    started.finish()
    return started


def result(started: process.Process) -> tuple[dict[str, Any], dict[str, Any]]:
    file, log = started.command.record, started.command.folder / "log.txt"
    assert file.exists(), log.read_text()
    with np.load(file.with_suffix(".npz")) as arrays:
        return json.loads(file.read_text()), dict(arrays)


def assert_same(one: process.Process, other: process.Process) -> None:
    (found, scores), (wanted, others) = result(one), result(other)
    assert found["metrics"] == wanted["metrics"]
    assert found["train"]["curve"] == wanted["train"]["curve"]
    assert found["train"]["steps"] == wanted["train"]["steps"] == 12
    assert all(np.array_equal(scores[name], others[name]) for name in others)
    assert found["environment"]["out_of_memory"] == [12]
    assert wanted["environment"]["out_of_memory"] is None
    for each in (found, wanted):
        assert each["recipe"]["max_batch_per_device"] == 6


@pytest.mark.slow
def test_out_of_memory_at_once_is_as_if_what_fits_had_been_given(tmp_path: Path) -> None:
    starved = run(tmp_path / "starved", "starved", "device", "0", "6")
    given = run(tmp_path / "given", "benchmark.run", how=("max_batch_per_device=6",))
    assert_same(starved, given)
    said = (starved.command.folder / "log.txt").read_text().splitlines()
    assert said[-2:] == [
        "out of memory with 12 clips at once; started again, it goes on with 6 from its last "
        "checkpoint",
        "out of memory; it goes on with 6 clips at once",
    ]


@pytest.mark.slow
def test_out_of_memory_later_is_as_if_what_fits_had_been_given_from_there_on(
    tmp_path: Path,
) -> None:
    often = ("save.steps=2",)  # the last checkpoint is in the middle of the first epoch
    starved = run(tmp_path / "starved", "starved", "device", "5", "6", how=often)
    stopped = run(tmp_path / "given", "starved", "asked", "5", "6", how=often)
    assert stopped.code == process.EXIT_PREEMPTED
    given = run(tmp_path / "given", "benchmark.run", how=(*often, "max_batch_per_device=6"))
    assert_same(starved, given)
    assert result(starved)[0]["train"]["resumed"] == 1


def limit(folder: Path, *overrides: str) -> MemoryLimit:
    recipe = compose.load(NAME, overrides)
    made = MemoryLimit(recipe, folder, classes=8, least=1)
    trainer: Any = SimpleNamespace(world_size=2, accumulate_grad_batches=1, is_global_zero=True)
    made.on_fit_start(trainer, SimpleNamespace())  # type: ignore[arg-type]
    return made


def fail(made: MemoryLimit, error: Exception, training: bool = True, kind: str = "cpu") -> None:
    module: Any = SimpleNamespace(device=torch.device(kind))
    made.on_exception(SimpleNamespace(training=training), module, error)  # type: ignore[arg-type]


def test_what_is_noted_holds_for_whoever_takes_the_run_up(tmp_path: Path) -> None:
    made = limit(tmp_path, "train.batch=64")
    assert memory.read(tmp_path) == Room(32)
    recipe = compose.load(NAME)
    assert within_memory(recipe, tmp_path) is recipe
    with pytest.raises(OutOfMemory, match="with 32 clips at once; started again, it goes on with"):
        fail(made, torch.OutOfMemoryError("CUDA out of memory"))
    assert within_memory(recipe, tmp_path).max_batch_per_device == 16
    less = compose.load(NAME, ["max_batch_per_device=3"])
    assert within_memory(less, tmp_path).max_batch_per_device == 3
    fail(made, torch.OutOfMemoryError("CUDA out of memory"), training=False)  # of a test
    fail(made, ValueError("a mistake"))
    assert memory.read(tmp_path) == Room(16, 1, (32,))


@pytest.mark.slow
def test_the_forecast_is_asked_how_many_fit_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = limit(tmp_path, "train.batch=1024")
    room = SimpleNamespace(total_memory=1.8e9)  # of which a process takes 1.5
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: room)
    with pytest.raises(OutOfMemory):
        fail(made, torch.OutOfMemoryError("CUDA out of memory"), kind="cuda")
    found = memory.read(tmp_path)
    assert found is not None and found.too_many == (512,) and 0 < found.clips < 256


def test_a_worker_that_the_kernel_killed_lacked_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = iter([3, 3, 3, 4])
    monkeypatch.setattr(memory, "kills", lambda: next(killed))
    dead = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    made = limit(tmp_path, "train.batch=64")
    fail(made, dead)  # by somebody
    with pytest.raises(OutOfMemory, match="goes on with 16"):
        fail(made, dead)


def test_a_place_in_an_epoch_is_counted_in_batches_of_todays_size() -> None:
    # as it is saved at the end of the third step of the second epoch, of four steps of 2 batches
    total = {"ready": 14, "started": 14, "processed": 14, "completed": 13}
    current = {"ready": 6, "started": 6, "processed": 6, "completed": 5}
    found = {"total": total, "current": current, "is_last_batch": False}
    recount(found, 2, 6)
    assert found["total"] == {"ready": 42, "started": 42, "processed": 42, "completed": 41}
    assert found["current"] == {"ready": 18, "started": 18, "processed": 18, "completed": 17}
