"""Jobs: runs to be started, what starts them, and those that failed."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.lookup import external
from benchmark.recipes.schema import Recipe
from benchmark.results import record
from benchmark.runs.folder import LOG
from benchmark.runs.process import RunCommand
from datamodules import files


@dataclass(frozen=True)
class Job:
    """A run to be started: what `compose.load` is given, and what it returned."""

    base_name: str  # protocol/data/backbone/method/seedN, without the overrides
    overrides: tuple[str, ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        """The run's name, which says where it works and where its record will lie."""
        return self.recipe.name

    @property
    def folder(self) -> Path:
        """Where the run works."""
        return files.RUNS / self.name


@dataclass(frozen=True)
class Failure:
    """A run that left no record."""

    job: Job
    reason: str  # one line

    @property
    def log(self) -> Path:
        """Where the run's output is."""
        return self.job.folder / LOG


def run_argv(job: Job) -> list[str]:
    """Return the command of a run's process: it exits with 0 once its record is written."""
    return [sys.executable, "-m", "benchmark.run", job.base_name, *job.overrides]


def run_command(job: Job, sweep: str = "", command: Sequence[str] | None = None) -> RunCommand:
    """Return what it takes to start `job` as part of a sweep; by default `run_argv` is run."""
    environment = {"RUNS": str(files.RUNS), "RESULTS": str(record.RESULTS), **external.variable()}
    if sweep:
        environment["BENCHMARK_SWEEP"] = sweep
    chosen = tuple(command or run_argv(job))
    restart = job.recipe.patience.stalled == "restart"
    return RunCommand(chosen, job.folder, record.path(job.name), environment, restart)
