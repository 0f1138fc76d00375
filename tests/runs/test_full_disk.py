"""A full disk ends a run in one line and keeps what was saved; what it ended goes on by itself."""

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from places import set_places
from small_disk import crowd, fill, small_disk

from benchmark import one_run
from benchmark.recipes import compose
from benchmark.recipes.schema import Recipe, Trainer
from benchmark.results import record
from benchmark.runs import process, progress
from benchmark.runs.folder import CHECKPOINT, held, lock
from benchmark.runs.process import EXIT_NO_ROOM
from benchmark.sweeps import status, sweep
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers import local
from benchmark.training.checkpointing import AtomicCheckpointIO
from datamodules import files

NAME = "quick/digits_motion/vit_digits/aim/seed0"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_places(monkeypatch, tmp_path)
    monkeypatch.setattr(one_run, "die_with_parent", lambda: None)
    monkeypatch.setattr(process, "POLL", 0.02)
    monkeypatch.setattr(local, "cores", lambda: 2)
    monkeypatch.setattr(local, "gpus", list)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small") as place:
        yield place


def on(disk: Path, folder: Path) -> Path:
    """Put the folder of a run on a disk."""
    folder.parent.mkdir(parents=True)
    folder.symlink_to(disk)
    return folder


def ends(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> tuple[int, status.Status]:
    """Return the exit code of a run that meets `error`, and how it is then."""

    def train(recipe: Recipe) -> None:
        raise error

    monkeypatch.setattr(one_run, "train", train)
    code = one_run.main([NAME])
    (found,) = status.statuses([Job(NAME, (), compose.load(NAME))])
    return code, found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EROFS, "Read-only file system"),
        (errno.EDQUOT, "Disk quota exceeded: the bytes or the files that you may have here are"),
    ],
)
def test_a_run_that_a_full_disk_ended_goes_on_by_sweep_again(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, os.strerror(number), "/somewhere/last.ckpt")
    code, found = ends(monkeypatch, error)
    lines = capsys.readouterr().err.splitlines()
    assert code == EXIT_NO_ROOM and len(lines) == 1
    assert lines[0].startswith(f"/somewhere/last.ckpt: {said}")
    assert lines[0].endswith("; what was saved before is kept, start again to go on")
    assert (found.state, found.detail) == ("interrupted", lines[0])
    assert sweep.chosen([found], "local", retry=False, again=False)[0] == [found.job]


def test_so_does_one_that_could_not_build_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        one_run, "train", lambda recipe: files.build_once(tmp_path / "cache", full, wait="")
    )
    assert one_run.main([NAME]) == EXIT_NO_ROOM
    line = progress.last(files.RUNS / NAME) or {}
    assert line["stage"] == "preempted"
    assert line["message"] == f"cannot write {tmp_path / 'cache'}: No space left on device"


def test_a_folder_that_nobody_may_write_is_no_passing_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, found = ends(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "x"))
    assert (code, found.state) == (1, "failed")


@pytest.mark.slow
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(
    disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = on(disk, files.RUNS / NAME) / CHECKPOINT
    AtomicCheckpointIO().save_checkpoint({"step": 1}, last)
    filler = fill(disk)

    def train(recipe: Recipe) -> Any:
        AtomicCheckpointIO().save_checkpoint({"step": torch.zeros(1000)}, last)

    monkeypatch.setattr(one_run, "train", train)
    for _ in range(2):  # and so it is as long as the disk is full
        assert one_run.main([NAME]) == EXIT_NO_ROOM
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            f"{last}: No space left on device; what was saved before is kept, start again to go on"
        )
        assert torch.load(last, weights_only=True) == {"step": 1}
        assert not held(last.parent)
    filler.unlink()
    assert one_run.main([NAME]) == 0
    assert len(torch.load(last, weights_only=True)["step"]) == 1000


def test_no_line_of_progress_is_torn_and_none_ends_a_run(disk: Path) -> None:
    folder = on(disk, files.RUNS / NAME)
    progress.write(folder, stage="start", devices=1)
    filler = fill(disk)
    for step in range(100):  # what is left of the last page of the file takes some of them
        progress.write(folder, stage="fit", step=step, steps=100)
    whole = (folder / "progress.jsonl").read_bytes()
    assert 0 < len(whole) <= 4096 and whole.endswith(b"}\n")
    with pytest.raises(OSError, match="No space left"):
        progress.write(folder, stage="start", devices=1)
    filler.unlink()
    progress.write(folder, stage="done", top1=0.5)
    lines = [json.loads(line) for line in (folder / "progress.jsonl").read_bytes().splitlines()]
    assert [lines[0]["stage"], lines[-1]["stage"]] == ["start", "done"]
    assert 0 <= progress.device_seconds(folder) < 60


def test_a_lock_needs_no_room(disk: Path) -> None:
    folder = on(disk, files.RUNS / NAME)
    (folder / "lock").touch()
    fill(disk)
    with lock(folder):
        pass


CHILD = """
import sys
from pathlib import Path
folder, result = map(Path, sys.argv[1:])
if "full" in str(folder):
    sys.exit(74)
result.parent.mkdir(parents=True, exist_ok=True)
result.write_text("{}")
"""


def child(job: Job) -> list[str]:
    return [sys.executable, "-c", CHILD, str(job.folder), str(record.path(job.name))]


@pytest.mark.slow
@pytest.mark.parametrize("short_of", ["bytes", "inodes"])
def test_a_sweep_goes_on_with_runs_that_have_room(disk: Path, short_of: str) -> None:
    names = [f"p/d/b/{method}/seed0" for method in ("full", "b", "c")]
    recipes = [Recipe(trainer=Trainer("cpu", 1, 1, "auto", "32-true"), name=each) for each in names]
    jobs = [Job(recipe.name, (), recipe) for recipe in recipes]
    on(disk, jobs[0].folder)
    if short_of == "bytes":
        fill(disk)
    else:
        crowd(disk)
    (failed,) = local.run(jobs, command=child)
    assert failed.job == jobs[0]
    if short_of == "bytes":
        assert failed.reason == "nothing more could be written where it works"
    else:
        assert failed.reason == (
            f"cannot write {jobs[0].folder / 'log.txt'}: no free inodes: the disk has room for 20 "
            "files and folders, and has them, though 1 MB are free"
        )
    assert [record.path(job.name).exists() for job in jobs] == [False, True, True]
    assert "failed" not in {(progress.last(job.folder) or {}).get("stage") for job in jobs}
