"""A rank that is stopped in a collective: the others wait for it, and whoever watches is told."""

import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import forked
import pytest
from places import set_places

from benchmark.runs import process, progress
from benchmark.runs.process import RunCommand
from benchmark.sweeps import status
from benchmark.sweeps.plan import job

NAME = "quick/digits_motion/vit_digits/linear_probe/seed4"
OPTIONS = (
    *("data.train=48", "data.holdout=16", "data.test=16", "train.batch=8", "train.epochs=1000"),
    *("workers=0", "wandb.enabled=false", "trainer.accelerator=cpu", "trainer.devices=2"),
    *("patience.step=5", "save.minutes=null"),
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_rank_that_is_stopped_is_told_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_places(monkeypatch, tmp_path)
    one = job(NAME, OPTIONS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0", "WORLD_SIZE": "2"}
    argv = (sys.executable, "-m", "benchmark.run", NAME, *OPTIONS)
    command = RunCommand(argv, one.folder, one.folder / "none.json", meet)
    # as Slurm has it: each rank is a task with a watcher and a log of its own
    ranks = [
        process.start(
            command, {"LOCAL_RANK": str(rank)}, log=f"log.{rank}.txt", server=forked.server()
        )
        for rank in range(2)
    ]
    try:
        wait(ranks, lambda: (progress.last(one.folder) or {}).get("step", 0) > 20)
        os.kill(ranks[1]._process.pid, signal.SIGSTOP)
        wait(ranks, lambda: all("end of the stacks" in said(rank) for rank in ranks))
        (found,) = status.statuses([one])
    finally:
        process.end(ranks)
    when = r"stalled since \d\d:\d\d"
    assert found.state == "running"
    assert re.fullmatch(rf"{when}, epoch \d+/1000, .* \(see .*log\.txt\)", found.detail)
    waiting, stopped = map(said, ranks)
    assert re.search(rf"^{when}; the stacks of its processes:$", waiting, re.MULTILINE)
    # adding up gradients, or in another collective between two steps
    assert re.search(
        r"in _engine_run_backward|distributed_c10d\.py", waiting.partition("stacks")[2]
    )
    assert f"-- process {ranks[1]._process.pid} (python): stopped: a SIGCONT lets it" in stopped


def said(rank: process.Process) -> str:
    return Path(rank.log.name).read_text()


def wait(ranks: list[process.Process], condition: object) -> None:
    end = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        for rank in ranks:
            assert not rank.ended(), said(rank)
        assert time.monotonic() < end, [said(rank) for rank in ranks]
        time.sleep(0.05)
