"""A folder that another process works in is left to it, and so is what it has done."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_record import made_record
from places import set_places

from benchmark import run
from benchmark.recipes import compose
from benchmark.results import record
from benchmark.runs import process, progress
from benchmark.runs.folder import held
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
    monkeypatch.setattr(run, "train", lambda recipe: pytest.fail("it was trained"))


@pytest.fixture
def elsewhere() -> Iterator["subprocess.Popen[bytes]"]:
    """Have another process work at the run."""
    argv = [sys.executable, "-c", HOLD, files.RUNS / NAME]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    yield holder
    holder.kill()
    holder.communicate()


def test_a_run_whose_folder_is_held_ends_with_a_code_of_its_own(
    elsewhere: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([NAME]) == EXIT_HELD
    assert f"being worked on by process {elsewhere.pid} on" in capsys.readouterr().err
    assert progress.last(files.RUNS / NAME) is None


def test_whoever_started_it_does_not_note_a_failure(
    elsewhere: "subprocess.Popen[bytes]",
) -> None:
    folder = files.RUNS / NAME
    argv = (sys.executable, "-c", f"raise SystemExit({EXIT_HELD})")
    started = process.start(RunCommand(argv, folder, record.path(NAME), {}), {})
    started.wait()
    assert started.finish().startswith(f"is being worked on by process {elsewhere.pid} on")
    assert progress.last(folder) is None and held(folder)


def test_a_run_that_is_done_meanwhile_is_not_tested_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = made_record(NAME, compose.load(NAME)).write()
    before = file.stat().st_mtime_ns
    assert run.main([NAME]) == 0
    assert capsys.readouterr().out.startswith("nothing to do")
    assert file.stat().st_mtime_ns == before
