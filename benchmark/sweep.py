"""Sweeps: run what a grid of recipes lacks a record of."""

import itertools
import json
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmark import launch, leaderboard, lookup, recipe, record, status
from benchmark.errors import UserError, nearest
from benchmark.launch import Failure, Job
from benchmark.record import Record
from benchmark.status import Status

HAVE = ("done", "stale")  # states of runs that have a record
AXES = ("data", "backbone", "method", "seed")
KEYS = {"protocol": str, **dict.fromkeys(AXES, list), "overrides": list, "grid": dict}


def plan(name: str, overrides: Sequence[str] = ()) -> list[Job]:
    """Return all runs of a sweep, each recipe loaded once: a typo stops here.

    Args:
        name: Of a file in `recipes/sweeps`. It lists names per axis, and seeds; `overrides` of all
            runs and a `grid` of overrides (key: values), for tuning, make them scratch runs.
        overrides: "key=value", more overrides of all runs.

    Raises:
        UserError: the sweep or one of its recipes is wrong.
    """
    grid = _read(name)
    values = ([f"{key}={_yaml(each)}" for each in choices] for key, choices in grid["grid"].items())
    tried = list(itertools.product(*values))
    jobs: dict[str, Job] = {}
    for data, backbone, method, seed in itertools.product(*(grid[axis] for axis in AXES)):
        target = f"{grid['protocol']}/{data}/{backbone}/{method}/seed{seed}"
        for combination in tried:
            chosen = (*grid["overrides"], *combination, *overrides)
            try:
                job = Job(target, chosen, recipe.load(target, chosen))
            except UserError as error:
                raise _placed(error, name, target, chosen[: -len(overrides) or None]) from None
            jobs.setdefault(job.name, job)
    return list(jobs.values())


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
    statuses = status.of(jobs)
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
        failures = import_module(f"benchmark.on_{on}").run(todo, title=name)
    leaderboard.refresh()
    if todo and (done := [found for job in jobs if (found := _record(job))]):
        print(f"\n{leaderboard.plain(done)}\n\nsee {_board(jobs)}")
    for failure in failures:
        print(f"failed {failure.job.name}: {failure.reason} (see {record.shown(failure.log)})")
    return 1 if failures or left_out else 0


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
            log = record.shown(each.job.folder / "log.txt")
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
    launch.clear(job.folder)
    file = record.path(job.name)
    for each in (file, file.with_suffix(".npz")):
        if each.exists():
            shutil.move(each, job.folder / f"old.{each.name}")


def prepare(jobs: Sequence[Job]) -> None:
    """Make every data set of `jobs` ready, so that runs that start together needn't.

    Raises:
        UserError: one is not there.
    """
    for options in {json.dumps(job.recipe.data, sort_keys=True) for job in jobs}:
        lookup.call("datamodules", json.loads(options))


def _read(name: str) -> dict[str, Any]:
    """Return what `recipes/sweeps/<name>.yaml` says, checked."""
    there = recipe.names("sweeps")
    if name not in there:
        raise UserError(f"no sweep {name!r} in recipes/sweeps{nearest(name, there)}")
    found = {"overrides": [], "grid": {}, **recipe.read(f"sweeps/{name}")}
    file = f"recipes/sweeps/{name}.yaml"
    for key, value in found.items():
        if key not in KEYS:
            raise UserError(f"{file}: unknown key {key!r}{nearest(key, KEYS)}")
        if not isinstance(value, KEYS[key]):
            raise UserError(f"{file}: {key} is {value!r}, not a {KEYS[key].__name__}")
    if absent := KEYS.keys() - found.keys():
        raise UserError(f"{file}: {', '.join(sorted(absent))} missing")
    for key, choices in found["grid"].items():
        if not isinstance(choices, list):
            raise UserError(f"{file}: grid.{key} is {choices!r}, not a list")
    return found


def _placed(error: UserError, name: str, target: str, own: Sequence[str]) -> UserError:
    """Return `error` with the sweep's file as its place, if the sweep's own overrides cause it."""
    try:
        recipe.load(target, own)
        return error
    except UserError as cause:
        return UserError(str(cause).replace(recipe.COMMAND_LINE, f"recipes/sweeps/{name}.yaml"))


def _yaml(value: Any) -> str:
    """Return a value as an override has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _record(job: Job) -> Record | None:
    """Return the record of a run, None if there is none or it is broken: the board told that."""
    try:
        return record.read(record.path(job.name))
    except UserError:
        return None


def _board(jobs: Sequence[Job]) -> str:
    scratch = all(job.name.startswith("scratch/") for job in jobs)
    return record.shown(record.RESULTS / ("scratch" if scratch else "README.md"))
