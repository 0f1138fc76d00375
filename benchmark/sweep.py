"""Sweeps: run what a grid of recipes lacks a record of."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from benchmark import launch, leaderboard, recipe, record
from benchmark.errors import UserError, nearest
from benchmark.launch import Job
from benchmark.lookup import find
from benchmark.record import Record

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


def missing(jobs: Sequence[Job]) -> list[Job]:
    """Return those of `jobs` that have no record."""
    return [job for job in jobs if not record.path(job.name).exists()]


def sweep(name: str, overrides: Sequence[str] = (), *, dry_run: bool = False) -> int:
    """Run what a sweep lacks a record of, and write the board; return the exit code.

    Args:
        name: The sweep's name.
        overrides: "key=value", of all runs.
        dry_run: Only say what would be run.
    """
    jobs = plan(name, overrides)
    todo = missing(jobs)
    if dry_run:
        print("\n".join(job.name for job in todo) or f"nothing to do: {name} is complete")
        return 0
    if not todo:
        leaderboard.refresh()
        print(f"nothing to do: all {len(jobs)} runs of {name} have a record; see {_board(jobs)}")
        return 0
    print(f"{name}: {len(todo)} of {len(jobs)} runs to do")
    prepare(todo)
    failures = launch.local(todo, title=name)
    leaderboard.refresh()
    if done := [found for job in jobs if (found := _record(job))]:
        print(f"\n{leaderboard.plain(done)}\n\nsee {_board(jobs)}")
    for failure in failures:
        print(f"failed {failure.job.name}: {failure.reason} (see {record.shown(failure.log)})")
    return 1 if failures else 0


def prepare(jobs: Sequence[Job]) -> None:
    """Make every data set of `jobs` ready, so that runs that start together needn't.

    Raises:
        UserError: one is not there.
    """
    for options in {json.dumps(job.recipe.data, sort_keys=True) for job in jobs}:
        arguments = json.loads(options)
        function = find("datamodules", arguments.pop("name"))
        try:
            function(**arguments)
        except (FileNotFoundError, ValueError) as error:
            raise UserError(f"{function.__name__}: {error}") from error


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
