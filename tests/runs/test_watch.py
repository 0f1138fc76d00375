"""A run that stalls is told with what its processes do, and where asked ended and started again."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.runs import process, progress, watch
from benchmark.runs.process import RunCommand

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A run that takes a step and then none, until it is started for the third time.
STALLING = """
import faulthandler, json, os, signal, sys, time
from pathlib import Path
folder, record, how, often = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def tell(**said):
    with (folder / "progress.jsonl").open("a") as file:
        file.write(json.dumps({"time": time.time(), **said}) + chr(10))
def stuck():
    os.fork()  # a second process that waits
    time.sleep(300)
tries = folder / "tries"
with tries.open("a") as file:
    file.write("x")
faulthandler.register(signal.SIGUSR1, file=2)
tell(stage="fit", step=7, steps=9, within=0.7)
if len(tries.read_text()) <= often:
    stuck() if how == "waits" else os.kill(os.getpid(), signal.SIGSTOP)
record.write_text("{}")
"""


def start(folder: Path, how: str, often: int, *, restart: bool) -> process.Process:
    record = folder / "record.json"
    argv = (sys.executable, "-c", STALLING, str(folder), str(record), how, str(often))
    return process.start(RunCommand(argv, folder, record, {}, restart), {})


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_stalls_is_told_with_the_stacks_of_its_processes(tmp_path: Path) -> None:
    started = start(tmp_path, "waits", 1, restart=False)
    log = tmp_path / "log.txt"
    wait(lambda: not started.ended() and "end of the stacks" in log.read_text())
    follower = progress.Follower(tmp_path, started.since)
    follower.read()
    when = time.strftime("%H:%M", time.localtime(follower.line["time"]))  # type: ignore[index]
    assert str(follower) == f"stalled since {when}, fit" and follower.left is None
    said = log.read_text()
    assert said.startswith(f"stalled since {when}; the stacks of its processes:\n")
    assert said.count("(python): waits\n") == said.count(" in stuck\n") == 2
    assert not started.ended()
    assert said == log.read_text()  # told once
    assert process.end([started]) == ["killed by SIGTERM"]


@pytest.mark.slow
def test_a_stopped_run_is_ended_and_goes_on_where_that_is_asked_for(tmp_path: Path) -> None:
    started = start(tmp_path, "stops", 1, restart=True)
    assert started.wait(60) and started.finish() == ""
    said = (tmp_path / "log.txt").read_text()
    assert "(python): stopped: a SIGCONT lets it go on\n" in said
    lines = [json.loads(each) for each in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert [each["stage"] for each in lines] == ["fit", "killed", "fit"]
    assert lines[1]["message"].startswith("stalled since ")
    assert lines[1]["message"].endswith("; ended, to go on from its last checkpoint")


@pytest.mark.slow
def test_a_run_that_stalls_again_and_again_at_one_step_fails(tmp_path: Path) -> None:
    started = start(tmp_path, "stops", 99, restart=True)
    assert started.wait(60)
    reason = started.finish()
    assert reason.startswith("stalled since ") and reason.endswith(", for the 3rd time at step 7")
    assert (tmp_path / "tries").read_text() == "xxx"


def test_a_line_that_is_late_by_the_runs_own_word_is_a_stall(tmp_path: Path) -> None:
    def lines(**said: object) -> list[dict[str, object]]:
        return [{"time": 100.0, "stage": "fit", "within": 30.0}, {"time": 150.0, **said}]

    assert progress.stalled_since(lines(stage="fit", within=60.0), 205) is None
    assert progress.stalled_since(lines(stage="fit", within=60.0), 215) == 150
    assert progress.stalled_since(lines(stage="start", note="a video is late"), 185) == 150
    assert progress.stalled_since(lines(stage="done"), 9e9) is None
    assert progress.stalled_since([{"time": 100.0, "stage": "fit"}], 9e9) is None  # of older code


def test_only_what_catches_the_signal_is_sent_it() -> None:
    assert not watch._catches(os.getpid(), signal.SIGURG)
    before = signal.signal(signal.SIGURG, lambda number, frame: None)
    try:
        assert watch._catches(os.getpid(), signal.SIGURG)
    finally:
        signal.signal(signal.SIGURG, before)
    own = {each[0]: each for each in watch._processes(os.getsid(0))}[os.getpid()]
    assert own[1] and own[2] == "R"
