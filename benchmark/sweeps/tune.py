"""Tune: choose for every method of a sweep what its protocol leaves to be chosen.

All methods of a protocol, a dataset and a backbone get the same number of trials, by the launchers
of every sweep. Interrupted, it goes on where it was.
"""

import sys
from collections.abc import Mapping, Sequence

from benchmark.errors import UserError
from benchmark.recipes import dataset, tuned
from benchmark.recipes.dataset import Lister
from benchmark.recipes.schema import is_execution_key
from benchmark.recipes.tuning import ranges
from benchmark.results import tuning as results
from benchmark.results.tuning import Evidence
from benchmark.runs.folder import clear
from benchmark.sweeps import plan, status, sweep, trials, tuning_page
from benchmark.sweeps.jobs import Failure, Job
from benchmark.sweeps.trials import Attempt, Method
from datamodules.files import demand_writable, display_path

STEP = 1  # values that a range is widened by at once
FURTHEST = 3  # times that a range is widened at one of its ends
Far = dict[str, list[int]]  # a key -> values added below its range, and above it


def tune(
    name: str,
    overrides: Sequence[str] = (),
    *,
    on: str = "local",
    widen: bool = False,
    retry: bool = False,
    dry_run: bool = False,
) -> int:
    """Try what the protocol of a sweep lets be chosen, and write the choice; return the exit code.

    Args:
        name: Of a sweep, or of a run.
        overrides: "key=value", of where and how the trials run.
        on: Where: "local", "ray" or "slurm".
        widen: Where the best of a method lies at the end of a range, widen the range for all
            methods of its table, and go on.
        retry: Run what failed, too; a training that diverged is a result, and no failure.
        dry_run: Only say what would be run.

    Raises:
        UserError: the sweep, a recipe or its data is wrong, its protocol tunes nothing, the place
            cannot run it, or every trial of a method diverged.
    """
    for override in overrides:
        if not is_execution_key(override.partition("=")[0]):
            raise UserError(f"{override} would tune another recipe; write it in recipes/protocols")
    jobs = [plan.job(name, overrides)] if "/" in name else plan.plan(name, overrides)
    methods = trials.methods(jobs, overrides)
    for each in methods:
        demand_writable(results.path(each.name))
        demand_writable(tuned.path(each.name))
    widened = {each.table: _widened_before(methods, each.table) for each in methods}
    lister = dataset.lister()
    while True:
        tried = {
            each.name: trials.attempts(each, widened[each.table], overrides) for each in methods
        }
        todo = [a.job for each in methods for a in _without_outcome(each, tried[each.name], lister)]
        if dry_run:
            print("\n".join(job.name for job in todo) or f"nothing to do: {name} is tuned")
            return 0
        total = sum(map(len, tried.values()))
        failures, left_out = _run(todo, total, name, on=on, retry=retry)
        done = _done(methods, tried, widened, lister)
        if len(done) < len(methods) or not widen or not _widen(done, methods, widened):
            break
    for found in done:
        _write(found)
    for protocol in dict.fromkeys(found.name.partition("/")[0] for found in done):
        print(f"see {display_path(tuning_page.write(protocol))}")
    for failure in failures:
        print(f"failed {failure.job.name}: {failure.reason} (see {display_path(failure.log)})")
    missing = sorted({each.name for each in methods} - {found.name for found in done})
    print("".join(f"not tuned yet, trials are missing: {each}\n" for each in missing), end="")
    return 1 if missing or left_out else 0


def _widened_before(methods: Sequence[Method], table: str) -> Far:
    """Return how far the ranges of a table were widened already, for any of its methods."""
    found = Far()
    for each in methods:
        known = each.known.widened if each.known and each.table == table else {}
        for key in known.keys() & set(ranges(each.recipe.tuning)):
            found[key] = [*map(max, found.get(key, (0, 0)), known[key])]
    return found


def _without_outcome(method: Method, tried: Sequence[Attempt], lister: Lister) -> list[Attempt]:
    return [each for each in tried if trials.outcome(method, each, lister) is None]


def _run(
    jobs: Sequence[Job], total: int, name: str, *, on: str, retry: bool
) -> tuple[list[Failure], list[Job]]:
    """Run trials; return those that failed, and those that were left out."""
    if not jobs:
        return [], []
    for job in jobs:
        if trials.changed_since_divergence(job):  # which says nothing of today's recipe
            clear(job.folder)
    statuses = status.statuses(jobs)
    todo, notes = sweep.chosen(statuses, on, retry=retry, again=True)
    sweep.demand_runnable(todo, here=on == "local")
    print("\n".join(notes), end="\n" if notes else "", file=sys.stderr)
    failures = list[Failure]()
    if todo:
        print(f"{name}: {len(todo)} of {total} trials to do")
        failures = sweep.start(todo, statuses, on=on, title=name)
    failures = [each for each in failures if not trials.has_diverged(each.job)]
    return failures, [job for job in jobs if job not in todo]


def _done(
    methods: Sequence[Method],
    tried: Mapping[str, Sequence[Attempt]],
    widened: Mapping[str, Far],
    lister: Lister,
) -> list[Evidence]:
    """Return the evidence of the methods whose trials have all ended."""
    found = []
    for each in methods:
        attempts = tried[each.name]
        ended = [trial for one in attempts if (trial := trials.outcome(each, one, lister))]
        if len(ended) == len(attempts):
            found.append(trials.evidence(each, attempts, ended, widened[each.table]))
    return found


def _widen(done: Sequence[Evidence], methods: Sequence[Method], widened: Mapping[str, Far]) -> bool:
    """Widen every range at whose end the best of a method lies, for all methods of its table.

    Not beyond the values that its key takes.

    Returns:
        Whether one was widened, so that there is more to try.
    """
    wanted = dict[tuple[str, str, int], str]()
    for each in done:
        ends = results.edges(each.trials, each.chosen, each.edges)
        for key, side in ((key, side) for key in ends for side in (0, 1) if ends[key][side]):
            wanted.setdefault((each.name.rpartition("/")[0], key, side), each.name)
    more = False
    for (table, key, side), name in wanted.items():
        far = widened[table].setdefault(key, [0, 0])
        where = f"{('below', 'above')[side]} the range of {key} of {table}"
        if far[side] >= STEP * FURTHEST:
            print(f"not widened further {where}: the best of {name} still lies there")
            continue
        far[side] += STEP
        try:
            trials.attempts(next(each for each in methods if each.name == name), {key: far}, ())
        except UserError as error:
            far[side] -= STEP
            print(f"not widened {where}: {error}")
            continue
        more = True
        print(f"{STEP} values more {where}, for all methods: the best of {name} lies there")
    return more


def _write(found: Evidence) -> None:
    """Write a choice to where recipes read it, and what it rests on beside the board."""
    found.write()
    count = len(results.means(found.trials))
    on = {
        "trials": count,
        "seeds": len(found.trials) // count,
        "epochs": found.epochs,
        "clips": found.clips,
        "videos": found.holdout.videos,
        "split": found.holdout.sha256,
        "top1": round(found.top1, 4),
        "edges": list(found.edges),
    }
    heading = "by `benchmark tune`, which writes all but keys of method, and these comments."
    file = tuned.write(found.name, found.chosen, on, heading)
    said = ", ".join(f"{key} {value}" for key, value in found.chosen.items())
    edge = f", at the end of its range ({', '.join(found.edges)})" if found.edges else ""
    print(f"{display_path(file)}: {said}{edge}: {100 * found.top1:.1f} % of held-out videos")
