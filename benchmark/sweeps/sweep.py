"""Sweeps: run what a grid of recipes lacks a record of."""

import json
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.leaderboard import pages
from benchmark.recipes import compose
from benchmark.recipes.name import SCRATCH, RunName
from benchmark.results import answers, record
from benchmark.results.record import Record
from benchmark.runs.folder import LOG, clear
from benchmark.sweeps import status
from benchmark.sweeps.jobs import Failure, Job
from benchmark.sweeps.launchers import local
from benchmark.sweeps.plan import plan
from benchmark.sweeps.status import Status
from datamodules import files

HAVE = ("done", "stale")  # states of runs that have a record


def sweep(
    name: str,
    overrides: Sequence[str] = (),
    *,
    on: str = "local",
    retry: bool = False,
    again: bool = False,
    dry_run: bool = False,
) -> int:
    """Run what a sweep lacks a record of, and write the board; return the exit code.

    A run that failed is left out and told, one that was interrupted goes on.

    Args:
        name: The sweep's name.
        overrides: "key=value", of all runs.
        on: Where: "local", "ray" or "slurm".
        retry: Run what failed, too.
        again: Run what has a record of an older recipe, too; the record is set aside.
        dry_run: Only say what would be run.

    Raises:
        UserError: the sweep, a recipe or its data is wrong, or the place cannot run it.
    """
    jobs = plan(name, overrides)
    statuses = status.statuses(jobs)
    todo, notes = _chosen(statuses, on, retry=retry, again=again)
    left_out = [each for each in statuses if each.job not in todo and each.state not in HAVE]
    if dry_run:
        print("\n".join(job.name for job in todo) or f"nothing to do: {name} is complete")
        print("\n".join(notes), end="\n" if notes else "", file=sys.stderr)
        return 0
    if todo:
        print(f"{name}: {len(todo)} of {len(jobs)} runs to do")
    elif not left_out:
        print(f"nothing to do: all {len(jobs)} runs of {name} have a record; see {_board(jobs)}")
    print("\n".join(notes), end="\n" if notes else "")
    failures = list[Failure]()
    if todo:
        prepare(todo)
        for each in statuses:
            if each.state == "stale" and each.job in todo:
                _set_aside(each.job)
        failures = import_module(f"benchmark.sweeps.launchers.{on}").run(todo, title=name)
    pages.refresh()
    if todo and (done := [found for job in jobs if (found := _record(job))]):
        print(f"\n{pages.plain(done)}\n\nsee {_board(jobs)}")
    for failure in failures:
        print(
            f"failed {failure.job.name}: {failure.reason} (see {files.display_path(failure.log)})"
        )
    return 1 if failures or left_out else 0


def run_one(job: Job, *, again: bool = False) -> Failure | None:
    """Run one job on this machine and write the board; return how it failed, if it did.

    Args:
        job: What to run; it has no record, or one that is to be made again.
        again: Start afresh, whatever an earlier start left.

    Raises:
        UserError: its data is not there, or another process is at it.
    """
    prepare([job])
    if again:
        clear(job.folder)
    for failure in local.run([job]):
        return failure
    pages.refresh()
    return None


def _chosen(
    statuses: Sequence[Status], on: str, *, retry: bool, again: bool
) -> tuple[list[Job], list[str]]:
    """Return the runs to do, and a line for each that is left out without having a record."""
    todo, notes = list[Job](), list[str]()
    for each in statuses:
        name = each.job.name
        if each.state in ("running", "queued") and not (on == "slurm" and each.slurm):
            notes.append(f"left out, it is {each.state} already: {name}: {each.detail}")
        elif each.state == "failed" and not retry:
            log = files.display_path(each.job.folder / LOG)
            notes.append(f"left out, it failed: {name}: {each.detail} (see {log}; or --retry)")
        elif each.state not in HAVE or (again and each.state == "stale"):
            todo.append(each.job)
    stale = sum(each.state == "stale" for each in statuses)
    if stale and not again:
        what = "record is" if stale == 1 else "records are"
        notes.append(f"{stale} {what} of an older recipe (`stale` says more; or --again)")
    return todo, notes


def _set_aside(job: Job) -> None:
    """Move a run's record to where the run works, cleared: it will start afresh."""
    clear(job.folder)
    file = record.path(job.name)
    for each in (file, answers.path(file), file.with_suffix(".npz")):
        if each.exists():
            shutil.move(each, job.folder / f"old.{each.name}")


def prepare(jobs: Sequence[Job]) -> None:
    """Make every data set of `jobs` ready, so that runs that start together needn't.

    Raises:
        UserError: one is not there.
    """
    for options in {json.dumps(job.recipe.data, sort_keys=True) for job in jobs}:
        lookup.call(compose.PACKAGES["data"], json.loads(options))


def _record(job: Job) -> Record | None:
    """Return the record of a run, None if there is none or it is broken: the board told that."""
    try:
        return record.read(record.path(job.name))
    except UserError:
        return None


def _board(jobs: Sequence[Job]) -> str:
    scratch = all(RunName.parse(job.name).scratch for job in jobs)
    return files.display_path(record.RESULTS / (SCRATCH if scratch else "README.md"))
