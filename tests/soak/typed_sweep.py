"""A sweep as its user runs it: one command, typed again until every run has its record.

The sweep is of the digits, seconds per run, by a protocol of its own in a folder that
BENCHMARK_PATH names: several methods, two loader workers each, a checkpoint every few steps.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmark.recipes import compose
from benchmark.runs import progress
from benchmark.runs.folder import PROGRESS, held, holder
from benchmark.sweeps.launchers.slurm_queue import read_submission
from datamodules.files import ROOT

# Of each way to train there is one: adapters that are merged, prompts, a reader with batch norms.
METHODS = ("st_adapter", "zeroi2v", "prompt_tuning", "side4video,width=64")
TRAIN, BATCH, EPOCHS = 128, 4, 4
STEPS = TRAIN // BATCH * EPOCHS  # of a run
SAVED = 5  # steps from one checkpoint to the next
DATA = {"train": TRAIN, "holdout": 16, "test": 32}


@dataclass(frozen=True)
class Run:
    """A run at work.

    Attributes:
        name: The run's.
        process: Id of its process, which is that of its session, too.
    """

    name: str
    process: int

    def workers(self) -> list[int]:
        """Return the ids of its loader workers."""
        return [pid for pid, session, name in _processes() if _is_worker(session, name, self)]

    def parent(self) -> int:
        """Return the id of the process that started it."""
        return int(_stat(self.process)[1])


class Sweep:
    """A sweep that is run in a place of its own.

    Args:
        place: For all it leaves.
        data: Where its videos are, which sweeps share.
        on: The launcher.

    Attributes:
        data: Where its videos are.
        disk: What it writes to.
        process: Of the command that was typed last.
        typed: How often one was.
        asked: Of each run, when a command asked for it to be started, seconds since 1970: Slurm may
            start it later, and again.
    """

    process: "subprocess.Popen[bytes]"

    def __init__(self, place: Path, data: Path, on: str) -> None:
        self.place, self.data, self.on, self.disk = place, data, on, place / "disk"
        self.typed = 0
        self._printed = place / "printed.txt"
        self.names = [f"soak/digits_motion/vit_digits/{each}/seed0" for each in METHODS]
        self.asked: dict[str, list[float]] = {name: [] for name in self.names}
        self._steps = dict.fromkeys(self.names, 0)
        self.disk.mkdir(parents=True, exist_ok=True)
        _write_recipes(place / "recipes", data)

    def type(self) -> str:
        """Type the command, with --retry if the one before said so; return what was typed."""
        retry = self.typed and "--retry" in self.said()
        argv = ["sweep", "soak", "--on", self.on, *(["--retry"] if retry else [])]
        self.typed += 1
        for asked in self.asked.values() if self.on != "slurm" else ():
            asked.append(time.time())
        own = {"BENCHMARK_PATH": str(self.place), "PYTHONPATH": str(ROOT)}
        own |= {"RUNS": str(self.disk / "runs"), "RESULTS": str(self.disk / "results")}
        with self._printed.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmark", *argv],
                cwd=ROOT,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return f"benchmark {' '.join(argv)}"

    def said(self) -> str:
        """Return what the command typed last has printed."""
        return self._printed.read_text(errors="replace")

    def folder(self, name: str) -> Path:
        """Return where a run works."""
        return self.disk / "runs" / name

    def record(self, name: str) -> Path:
        """Return where the record of a run lies."""
        return self.disk / "results" / f"{name}.json"

    def done(self) -> bool:
        """Return whether every run has its record."""
        return all(self.record(name).exists() for name in self.names)

    def at_work(self) -> list[Run]:
        """Return the runs that hold their folders, in their order."""
        folders = {name: self.folder(name) for name in self.names}
        told = {name: holder(folder) for name, folder in folders.items() if held(folder)}
        found = {name: re.search(r"process (\d+)", said) for name, said in told.items()}
        return [Run(name, int(match[1])) for name, match in found.items() if match]

    def note(self) -> None:
        """Note when runs were given to Slurm."""
        for name, asked in self.asked.items() if self.on == "slurm" else ():
            given = read_submission(self.folder(name))
            if given and given.since not in asked:
                asked.append(given.since)

    def steps(self) -> int:
        """Return how many steps its runs have told since this was asked before."""
        new = 0
        for name in self.names:
            line = progress.last(self.folder(name)) or {}
            if line.get("stage") == "fit":
                new += max(0, line["step"] - self._steps[name])
                self._steps[name] = line["step"]
        return new

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return all lines of a run's progress that are whole."""
        file, found = self.folder(name) / PROGRESS, []
        for line in file.read_text().splitlines() if file.exists() else ():
            with suppress(ValueError):
                found.append(json.loads(line))
        return found

    def slurm_job(self, name: str) -> str:
        """Return the job of Slurm's that a run was given to last, "" if to none."""
        given = read_submission(self.folder(name))
        return given.job if given else ""

    def close(self) -> None:
        """End what is left of it, in Slurm, too."""
        if self.typed and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        if jobs := list(filter(None, map(self.slurm_job, self.names))):
            subprocess.run(["scancel", *jobs], capture_output=True, check=False)


def _write_recipes(folder: Path, data: Path) -> None:
    """Write the protocol `soak`, which is `quick` but smaller, and its sweep."""
    protocol = compose.read("protocols/quick")
    protocol |= {
        "data": {**DATA, "root": str(data)},
        "train": protocol["train"] | {"batch": BATCH, "epochs": EPOCHS},
        "save": {"steps": SAVED},
        "slurm": {"cpus": 1},
        "wandb": {"enabled": False},
        "cache": False,
        "workers": 2,
    }
    grid = {"data": ["digits_motion"], "backbone": ["vit_digits"], "seed": [0]}
    sweep = {"protocol": "soak", **grid, "method": list(METHODS)}
    for kind, keys in (("protocols", protocol), ("sweeps", sweep)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / "soak.yaml").write_text(yaml.safe_dump(keys))


def _is_worker(session: int, name: str, run: Run) -> bool:
    return session == run.process and name == "pt_data_worker"  # torch's word for them


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield id, session and name of every process here (Linux)."""
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            name = (each / "comm").read_text().strip()
            yield int(each.name), int(_stat(int(each.name))[3]), name


def _stat(process: int) -> list[str]:
    """Return state, parent, group and session of a process (Linux)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        raise ProcessLookupError(process) from None
