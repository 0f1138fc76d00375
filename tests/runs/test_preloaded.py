"""A forked run is what a started one is, but for the seconds of importing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forked
import pytest
from places import FIXTURES

from benchmark.runs import preloaded, process
from benchmark.runs.preloaded import Server
from benchmark.runs.process import RunCommand

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has orphans adopted")
# The environment of a parent and what it does: it has a server, and forks one that waits.
PARENT = """
import os, sys
from pathlib import Path
from benchmark.runs import preloaded
with preloaded.server(["json"]) as server:
    argv = [sys.executable, "-m", "told", sys.argv[1], "wait"]
    server.fork(argv, os.environ, stdout=2, stderr=2)
    print(server._process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Yield a server without the libraries, which cost seconds."""
    monkeypatch.setenv("PYTHONPATH", f"{FIXTURES}:{os.getcwd()}")
    with preloaded.server(["json"]) as made:
        assert made is not None
        yield made


def command(folder: Path, *argv: str) -> RunCommand:
    told = folder / "told.json"
    return RunCommand((sys.executable, "-m", "told", str(told), *argv), folder, told, {})


def read(folder: Path) -> dict[str, Any]:
    wait((folder / "told.json").exists)
    found: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return found


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(started: process.Process) -> str:
    assert started.wait(60)
    return started.finish()


@pytest.mark.slow
def test_a_forked_process_is_as_a_started_one(server: Server, tmp_path: Path) -> None:
    own = {"CUDA_VISIBLE_DEVICES": "3", "OMP_NUM_THREADS": "2", "RUNS": str(tmp_path / "x")}
    os.environ["TYPED_LATER"] = "1"  # after the server has started
    for folder, way in ((tmp_path / "plain", None), (tmp_path / "fork", server)):
        assert end(process.start(command(folder, "a b", "ü"), own, server=way)) == ""
        assert (folder / "log.txt").read_text() == "said\ncomplained\n"
    del os.environ["TYPED_LATER"]
    plain, fork = read(tmp_path / "plain"), read(tmp_path / "fork")
    for key in ("environment", "cwd", "stdin", "files", "main", "threads", "ignored", "parent"):
        assert plain[key] == fork[key], key
    assert fork["environment"].items() >= own.items() and fork["parent"] == os.getpid()
    assert fork["argv"] == [plain["argv"][0], str(tmp_path / "fork/told.json"), "a b", "ü"]
    assert fork["session"] == fork["pid"]
    assert signal.SIGUSR2 in fork["ignored"] and signal.SIGTERM not in fork["ignored"]
    # ours are imported by the run, in its own environment
    of_the_server = ("benchmark", "benchmark.runs", "benchmark.runs.ancestry")
    assert set(fork["ours"]) == {*of_the_server, "benchmark.runs.leaving"}


@pytest.mark.slow
def test_the_libraries_are_there_and_nothing_is_initialised(tmp_path: Path) -> None:
    for count in ("1", "2"):
        own, folder = {"OMP_NUM_THREADS": count}, tmp_path / count
        assert end(process.start(command(folder), own, server=forked.server())) == ""
        assert read(folder)["torch_threads"] == int(count)
        assert (folder / "log.txt").read_text() == "said\ncomplained\n"  # nor at its exit
    found = read(tmp_path / "1")
    assert found["threads"] == 1 and found["cuda"] is False
    named = {"torch", "lightning", "timm", "torchmetrics", "av", "wandb"}
    assert named <= set(found["modules"])
    assert found["peak"] < 1.1  # of what it holds itself: others' peaks are not inherited


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("exit", "3"), "exit code 3: complained"),
        (("exit", "75"), "was asked to stop, and has saved"),
        (("kill", "9"), r"killed by SIGKILL \(out of memory\?\)"),
        (("kill", "15"), "killed by SIGTERM"),
    ],
)
def test_how_a_fork_ended_is_told(
    server: Server, tmp_path: Path, argv: tuple[str, ...], reason: str
) -> None:
    assert re.fullmatch(reason, end(process.start(command(tmp_path, *argv), {}, server=server)))


def test_what_a_fork_leaves_behind_is_ended_with_it(server: Server, tmp_path: Path) -> None:
    started = process.start(command(tmp_path, "leave"), {}, server=server)
    assert end(started) == ""
    wait(lambda: not alive(int((tmp_path / "left").read_text())))


@pytest.mark.slow
def test_a_server_that_is_killed_takes_nothing_along(server: Server, tmp_path: Path) -> None:
    one = process.start(command(tmp_path / "one", "wait"), {}, server=server)
    pid = read(tmp_path / "one")["pid"]
    server._process.kill()
    server._process.wait()
    two = process.start(command(tmp_path / "two"), {}, server=server)  # which starts plainly
    assert end(two) == ""
    assert not one.ended() and alive(pid)
    assert process.end([one]) == ["killed by SIGTERM"]


def test_a_server_and_its_forks_die_with_their_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path / "told.json"],
        env={**os.environ, "PYTHONPATH": f"{FIXTURES}:{os.getcwd()}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()), read(tmp_path)["pid"]]
    assert all(map(alive, pids))
    parent.kill()
    parent.communicate()
    wait(lambda: not any(map(alive, pids)))


def test_what_it_cannot_fork_is_left_to_others(server: Server) -> None:
    for argv in (["true"], [sys.executable, "-c", ""], [sys.executable, "-m", "x" * (1 << 18)]):
        assert server.fork(argv, {}, stdout=1, stderr=2) is None
