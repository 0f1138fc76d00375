"""Eight runs at once that share their clips, the server and a run killed in the middle: no bit."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from places import set_places

from benchmark import lookup
from benchmark.results import record
from benchmark.runs import process, progress
from benchmark.sweeps.launchers import local
from benchmark.sweeps.plan import job
from benchmark.training.train import train
from datamodules.sharing import servers

METHODS = "full_divided prompt_tuning full partial linear_probe aim st_adapter zeroi2v".split()
OPTIONS = (
    *("data.train=24", "data.holdout=8", "data.test=8", "clip.frames=4", "train.batch=8"),
    *("train.epochs=3", "workers=1", "cache=false", "sharing.gib=0.1", "wandb.enabled=false"),
)


class Killer:
    """Kill a run and the clip server as soon as several runs train at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[process.Process] = []
        self.address, self.victim = "", Path()
        start, serve = process.start, local.clip_servers

        def starts(*arguments, **options):
            self.runs.append(start(*arguments, **options))
            return self.runs[-1]

        @contextmanager
        def serves(jobs):
            with serve(jobs) as told:
                (self.address,) = {each[servers.VARIABLE].split("@")[1] for each in told.values()}
                thread = threading.Thread(target=self.wait, daemon=True)
                thread.start()
                yield told

        monkeypatch.setattr(process, "start", starts)
        monkeypatch.setattr(local, "clip_servers", serves)

    def wait(self) -> None:
        """Wait until half of all runs train, the first among them for an epoch."""
        while len(training := [each for each in self.runs if _trains(each)]) < 4:
            time.sleep(0.005)
        self.victim = training[0].command.folder
        os.kill(training[0]._process.pid, signal.SIGKILL)
        os.kill(_server(self.address), signal.SIGKILL)


def _trains(run: process.Process) -> bool:
    line = progress.last(run.command.folder)
    return bool(line) and line["stage"] == "fit" and not run.ended()


def _server(address: str) -> int:
    folder = os.fsencode(Path(address).parent)
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        if folder in each.read_bytes().split(b"\0"):
            return int(each.parent.name)
    raise AssertionError("no server")


def _found(name: str) -> tuple[record.Record, dict[str, np.ndarray]]:
    file = record.path(name)
    with np.load(file.with_suffix(".npz")) as arrays:
        return record.read(file), dict(arrays)


@pytest.mark.slow
@pytest.mark.skipif(not servers.possible(), reason="memory without a name is Linux's")
def test_a_sweep_whose_server_and_a_run_are_killed_is_the_undisturbed_one(tmp_path, monkeypatch):
    data = f"data.root={tmp_path / 'data'}"
    names = [f"quick/digits_motion/vit_digits/{method}/seed1" for method in METHODS]
    jobs = [job(name, [*OPTIONS, data]) for name in names]
    lookup.call("datamodules.datasets", jobs[0].recipe.data)  # which writes the videos

    set_places(monkeypatch, tmp_path / "together")
    monkeypatch.setattr(local, "cores", lambda: len(jobs))
    killer = Killer(monkeypatch)
    failures = local.run(jobs)
    assert [each.job.folder for each in failures] == [killer.victim]
    assert not Path(killer.address).parent.exists()
    train(failures[0].job.recipe)  # as the sweep does that is typed again
    together = {each.name: _found(each.name) for each in jobs}
    shares = [found.data.decoded for found, _ in together.values()]
    assert min(filter(None, shares)) < 1  # clips were shared until the server died

    set_places(monkeypatch, tmp_path / "alone")
    others = [each for each in jobs if each is not failures[0].job]
    for each in [failures[0].job, *others[-3:]]:
        train(each.recipe)
        (shared, scores), (straight, again) = together[each.name], _found(each.name)
        assert shared.metrics == straight.metrics
        assert shared.train.curve == straight.train.curve
        assert scores.keys() == again.keys()
        assert all(np.array_equal(scores[key], again[key]) for key in scores)
