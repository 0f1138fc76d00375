"""A folder that another process works in is left to it, and so is what it has done."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_record import made_record
from places import set_places

from benchmark import one_run
from benchmark.errors import UserError
from benchmark.recipes import compose
from benchmark.results import record
from benchmark.runs import process, progress
from benchmark.runs.folder import clear, held, lock
from benchmark.runs.process import EXIT_HELD, RunCommand
from datamodules import files

NAME = "quick/digits_motion/vit_digits/aim/seed0"
HOLD = """
import sys, time
from pathlib import Path
from benchmark.runs.folder import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_places(monkeypatch, tmp_path)
    monkeypatch.setattr(process, "die_with_parent", lambda parent=None: None)
    monkeypatch.setattr(one_run, "train", lambda recipe: pytest.fail("it was trained"))


@pytest.fixture
def elsewhere() -> Iterator["subprocess.Popen[bytes]"]:
    """Have another process work at the run."""
    argv = [sys.executable, "-c", HOLD, files.RUNS / NAME]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    yield holder
    holder.kill()
    holder.communicate()


@pytest.mark.slow
def test_a_run_whose_folder_is_held_ends_with_a_code_of_its_own(
    elsewhere: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    assert one_run.main([NAME]) == EXIT_HELD
    assert f"being worked on by process {elsewhere.pid} on" in capsys.readouterr().err
    assert progress.last(files.RUNS / NAME) is None


@pytest.mark.slow
def test_whoever_started_it_does_not_note_a_failure(
    elsewhere: "subprocess.Popen[bytes]",
) -> None:
    folder = files.RUNS / NAME
    argv = (sys.executable, "-c", f"raise SystemExit({EXIT_HELD})")
    started = process.start(RunCommand(argv, folder, record.path(NAME), {}), {})
    started.wait()
    assert started.finish().startswith(f"is being worked on by process {elsewhere.pid} on")
    assert progress.last(folder) is None and held(folder)


@pytest.mark.slow
def test_a_run_that_is_done_meanwhile_is_not_tested_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = made_record(NAME, compose.load(NAME)).write()
    before = file.stat().st_mtime_ns
    assert one_run.main([NAME]) == 0
    assert capsys.readouterr().out.startswith("nothing to do")
    assert file.stat().st_mtime_ns == before


def test_only_one_process_works_in_a_folder(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=rf"worked on by process {holder.pid} on "):
            with lock(tmp_path / "run"):
                pytest.fail("two processes hold one lock")
        with pytest.raises(UserError, match=str(holder.pid)):
            clear(tmp_path / "run")
    finally:
        holder.kill()
        holder.communicate()
    with lock(tmp_path / "run"):  # a killed holder holds nothing
        assert str(os.getpid()) in (tmp_path / "run" / "lock").read_text()


def test_who_asks_whether_a_folder_is_held_neither_takes_nor_frees_it(tmp_path):
    assert not held(tmp_path)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        assert held(tmp_path) and held(tmp_path)
        with pytest.raises(UserError, match="worked on"), lock(tmp_path):
            pytest.fail("asking has freed the lock")
    finally:
        holder.kill()
        holder.communicate()
    assert not held(tmp_path)


def test_a_cleared_run_starts_afresh(tmp_path):
    for file in ("last.ckpt", "wandb/run/a", "progress.jsonl"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("old")
    clear(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]
