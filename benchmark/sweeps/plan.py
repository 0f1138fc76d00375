"""Plans: a grid of recipes becomes jobs."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmark.errors import UserError, nearest
from benchmark.recipes import compose, validation
from benchmark.recipes.name import RunName
from benchmark.sweeps.jobs import Job

AXES = (*(axis for axis in compose.AXES if axis != "protocol"), "seed")
KEYS = {"protocol": str, **dict.fromkeys(AXES, list), "overrides": list, "grid": dict}


def plan(name: str, overrides: Sequence[str] = ()) -> list[Job]:
    """Return all runs of a sweep, each row's recipe loaded once: a typo stops here.

    Args:
        name: Of a file in `recipes/sweeps`. It lists names per axis, and seeds; `overrides` of all
            runs and a `grid` of overrides (key: values), for tuning, make them scratch runs.
        overrides: "key=value", more overrides of all runs.

    Raises:
        UserError: the sweep or one of its recipes is wrong.
    """
    grid = _read(name)
    values = (
        [f"{key}={value_text(each)}" for each in choices] for key, choices in grid["grid"].items()
    )
    tried = list(itertools.product(*values))
    jobs: dict[str, Job] = {}
    load = compose.once_per_row()
    for data, backbone, method, seed in itertools.product(*(grid[axis] for axis in AXES)):
        base_name = f"{grid['protocol']}/{data}/{backbone}/{method}/seed{seed}"
        for combination in tried:
            chosen = (*grid["overrides"], *combination, *overrides)
            try:
                job = Job(base_name, chosen, load(base_name, chosen))
            except UserError as error:
                raise _blamed(error, name, base_name, chosen[: -len(overrides) or None]) from None
            jobs.setdefault(job.name, job)
    return list(jobs.values())


def job(name: str, overrides: Sequence[str] = ()) -> Job:
    """Return the job of one run, whose own name may hold overrides.

    Raises:
        UserError: a name, key, value or file is wrong.
    """
    recipe = compose.load(name, overrides)
    base_name = replace(RunName.parse(name), scratch=False, seed=recipe.seed)
    return Job(str(base_name), tuple(overrides), recipe)


def _read(name: str) -> dict[str, Any]:
    """Return what `recipes/sweeps/<name>.yaml` says, checked."""
    there = compose.names("sweeps")
    if name not in there:
        raise UserError(f"no sweep {name!r} in recipes/sweeps{nearest(name, there)}")
    found = {"overrides": [], "grid": {}, **compose.read(f"sweeps/{name}")}
    file = f"recipes/sweeps/{name}.yaml"
    for key, value in found.items():
        if key not in KEYS:
            raise UserError(f"{file}: unknown key {key!r}{nearest(key, KEYS)}")
        if not isinstance(value, KEYS[key]):
            raise UserError(f"{file}: {key} is {value!r}, not a {KEYS[key].__name__}")
    if absent := KEYS.keys() - found.keys():
        raise UserError(f"{file}: {', '.join(sorted(absent))} missing")
    if wrong := [each for each in found["overrides"] if not isinstance(each, str)]:
        raise UserError(f"{file}: overrides holds {wrong[0]!r}, not key=value")
    for key, choices in found["grid"].items():
        if not isinstance(choices, list):
            raise UserError(f"{file}: grid.{key} is {choices!r}, not a list")
    axes = {axis: found[axis] for axis in AXES} | {f"grid.{k}": v for k, v in found["grid"].items()}
    if empty := [axis for axis, choices in axes.items() if not choices]:
        raise UserError(f"{file}: {empty[0]} is an empty list: there would be nothing to run")
    return found


def _blamed(error: UserError, name: str, base_name: str, own: Sequence[str]) -> UserError:
    """Return `error` with the sweep's file as its place, if the sweep's own overrides cause it."""
    try:
        compose.load(base_name, own)
        return error
    except UserError as cause:
        return UserError(str(cause).replace(validation.COMMAND_LINE, f"recipes/sweeps/{name}.yaml"))


def value_text(value: Any) -> str:
    """Return a value as an override has it."""
    return value if isinstance(value, str) else json.dumps(value)
