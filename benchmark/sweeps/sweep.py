"""Sweeps: run what a grid of recipes lacks a record of."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.leaderboard import board, pages
from benchmark.recipes import compose, proportion, tuning
from benchmark.recipes.name import SCRATCH, RunName
from benchmark.results import answers, examination, predictions, record
from benchmark.results.record import Record
from benchmark.results.staleness import to_do
from benchmark.runs import progress
from benchmark.runs.folder import AGAIN, LOG, SET_ASIDE, clear, held
from benchmark.sweeps import status
from benchmark.sweeps.devices import cores, devices_of, gpus
from benchmark.sweeps.jobs import Failure, Job
from benchmark.sweeps.launchers import local
from benchmark.sweeps.plan import plan
from benchmark.sweeps.status import Status
from datamodules import files, sanity
from datamodules.dataset_info import DatasetInfo, hold_out

HAVE = ("done", "stale")  # states of runs that have a record, which counts
OUTDATED = ("stale", "other data")  # of those whose record `again` makes again


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

    A run that failed is left out and told, one that was interrupted goes on. What another process
    does meanwhile is left to it.

    Args:
        name: The sweep's name.
        overrides: "key=value", of all runs.
        on: Where: "local", "ray" or "slurm".
        retry: Run what failed, too.
        again: Run what has a record of an older recipe or of other data, too; the record is set
            aside.
        dry_run: Only say what would be run.

    Raises:
        UserError: the sweep, a recipe or its data is wrong, or the place cannot run it; nothing has
            been started then.
    """
    jobs = plan(name, overrides)
    statuses = status.statuses(jobs)
    todo, notes = chosen(statuses, on, retry=retry, again=again)
    left_out = [each for each in statuses if each.job not in todo and each.state not in HAVE]
    if dry_run:
        print("\n".join(job.name for job in todo) or f"nothing to do: {name} is complete")
        print("\n".join(notes), end="\n" if notes else "", file=sys.stderr)
        return 0
    tuning.demand_tuned([job.recipe for job in todo], name)
    demand_runnable(todo, here=on == "local")
    if todo:
        print(f"{name}: {len(todo)} of {len(jobs)} runs to do")
    elif not left_out:
        print(f"nothing to do: all {len(jobs)} runs of {name} have a record; see {_board(jobs)}")
    print("\n".join(notes), end="\n" if notes else "")
    failures = list[Failure]()
    if todo:
        failures = start(todo, statuses, on=on, title=name)
    board.refresh()
    if todo and (done := [found for job in jobs if (found := _record(job))]):
        print(f"\n{pages.plain(done)}\n\nsee {_board(jobs)}{board.interactive_hint()}")
    for failure in failures:
        if held(failure.job.folder):
            print(f"left out, it is running elsewhere: {failure.job.name}: {failure.reason}")
            continue
        log = files.display_path(failure.log)
        stage = (progress.last(failure.job.folder) or {}).get("stage")
        hint = "; --retry runs it again" if stage == "failed" else ""  # others go on without
        print(f"failed {failure.job.name}: {failure.reason} (see {log}{hint})")
    return 1 if failures or left_out else 0


def start(todo: Sequence[Job], statuses: Sequence[Status], *, on: str, title: str) -> list[Failure]:
    """Run jobs by a launcher, and return those that left no record.

    Args:
        todo: What to run; `demand_runnable` has let it pass.
        statuses: How these and others are; what is outdated, and what is in a record's place, is
            set aside.
        on: The launcher: "local", "ray" or "slurm".
        title: What people call the jobs together.

    Raises:
        UserError: as `prepare`, or the place cannot run one.
    """
    prepare(todo)
    for each in statuses:
        if each.job in todo and each.state in OUTDATED:
            clear(each.job.folder)
        if each.job in todo and each.state in (*OUTDATED, "broken"):
            _set_aside(each.job)
    ended: list[Failure] = import_module(f"benchmark.sweeps.launchers.{on}").run(todo, title=title)
    return [each for each in ended if not record.path(each.job.name).exists()]


def run_one(job: Job, *, again: bool = False) -> Failure | None:
    """Run one job on this machine and write the board; return how it failed, if it did.

    A record that it has is set aside, and put back if the run fails.

    Args:
        job: What to run; it has no record, or one that is to be made again.
        again: Start afresh, whatever an earlier start left: but for a start with `again` that was
            interrupted, which goes on.

    Raises:
        UserError: it cannot run, its data is not there, or another process is at it.
    """
    tuning.demand_tuned([job.recipe])
    demand_runnable([job])
    prepare([job])
    begun, recorded = job.folder / AGAIN, record.path(job.name).exists()
    if again and (recorded or not begun.exists()):
        clear(job.folder)
        begun.touch()
    before = _set_aside(job)
    failures = local.run([job])  # interrupted, it leaves `begun` behind
    begun.unlink(missing_ok=True)
    for failure in failures:
        for file, place in before.items():
            if not file.exists():
                shutil.move(place, file)
        return failure
    board.refresh()
    return None


def chosen(
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
        elif each.state == "other data" and not again:
            notes.append(f"left out, its record is of other data: {name}: {each.detail}; {to_do()}")
        elif each.state not in HAVE or (again and each.state == "stale"):
            todo.append(each.job)
            if each.state == "broken":
                notes.append(f"made again: {each.detail}")
    stale = sum(each.state == "stale" for each in statuses)
    if stale and not again:
        what = "record is" if stale == 1 else "records are"
        notes.append(f"{stale} {what} of an older recipe (`stale` says more; or --again)")
    return todo, notes


def _set_aside(job: Job) -> dict[Path, Path]:
    """Move the record a run may have, and all beside it, to where the run works.

    Returns:
        What was moved, and where to.
    """
    file, moved = record.path(job.name), dict[Path, Path]()
    beside = (answers.path(file), predictions.path(file), examination.path(file))
    for each in (file, *beside):
        if each.exists():
            job.folder.mkdir(parents=True, exist_ok=True)
            moved[each] = job.folder / f"{SET_ASIDE}{each.name}"
            shutil.move(each, moved[each])
    return moved


def demand_runnable(jobs: Sequence[Job], *, here: bool = True) -> None:
    """Check all of `jobs` before the first of them starts.

    Args:
        jobs: What is to be run.
        here: Whether on this machine.

    Raises:
        UserError: one cannot be built, asks for more than this machine has, or is out of all
            proportion.
    """
    if not jobs:
        return
    if here:
        cpus, cards = cores(), len(gpus())
        for job in jobs:
            devices_of(job, cpus, cards)
    different = _distinct(jobs, "seed")
    for job in different:
        proportion.ask(job.recipe, proportion.of_recipe(job.recipe, here=here))
    from benchmark.recipes import buildable  # imports torch: what can be told without it is told

    for job in different:
        try:
            buildable.demand_runnable(job.recipe, here=here)
        except UserError as error:
            if len(jobs) == 1 or job.name in str(error):
                raise
            raise UserError(f"{job.name}: {error}") from None


def prepare(jobs: Sequence[Job]) -> None:
    """Make every data set of `jobs` ready, so that runs that start together needn't.

    What is odd about one is told.

    Raises:
        UserError: one is not there, training on it cannot make sense, a run is out of all
            proportion to it, or nobody can write where a run works or its record is to lie.
    """
    for job in jobs:
        files.demand_folder(job.folder)
        files.demand_writable(record.path(job.name))
    listed = dict[str, DatasetInfo]()
    doubts = dict[str, None]()  # each once, in order
    for recipe in (job.recipe for job in _distinct(jobs, "seed", "backbone", "method", "optim")):
        options = json.dumps(recipe.data, sort_keys=True)
        if options not in listed:
            listed[options] = lookup.call(compose.PACKAGES["data"], recipe.data)
        data = hold_out(listed[options], recipe.train.holdout, recipe.seed)
        sanity.demand_trainable(data, recipe.train.batch)
        proportion.ask(recipe, proportion.of_data(recipe, data))
        doubts |= dict.fromkeys(sanity.doubts(data))
    for each in doubts:
        print(f"warning: {each}", file=sys.stderr)


def _distinct(jobs: Sequence[Job], *but: str) -> list[Job]:
    """Return of `jobs` those whose recipes differ, in other sections than `but` and the name."""
    found = dict[str, Job]()
    for job in jobs:
        kept = {key: each for key, each in asdict(job.recipe).items() if key not in (*but, "name")}
        found.setdefault(json.dumps(kept, sort_keys=True), job)
    return list(found.values())


def _record(job: Job) -> Record | None:
    """Return the record of a run, None if there is none or it is broken: the board told that."""
    try:
        return record.read(record.path(job.name))
    except UserError:
        return None


def _board(jobs: Sequence[Job]) -> str:
    """Return where a reader sees the runs side by side, relative to where they are."""
    runs = [RunName.parse(job.name) for job in jobs]
    if all(run.scratch for run in runs):
        return files.display_path(record.RESULTS / SCRATCH)
    protocols = {run.protocol for run in runs if not run.scratch}
    folder = record.RESULTS / protocols.pop() if len(protocols) == 1 else record.RESULTS
    return files.display_path(folder / board.PAGE)
