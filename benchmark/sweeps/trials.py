"""Trials: what is tried of a method, as jobs of their own, and what came out.

A trial is a run like any other: it scores videos held out of training, and its record lies in
scratch. What the evidence beside the board tells of is not tried again, even where scratch is gone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.errors import UserError
from benchmark.recipes import compose, tuning
from benchmark.recipes.dataset import Lister
from benchmark.recipes.name import RunName
from benchmark.recipes.schema import Recipe
from benchmark.results import record
from benchmark.results import tuning as results
from benchmark.results.record import Record
from benchmark.results.staleness import standing
from benchmark.results.tuning import Evidence, Trial
from benchmark.runs import progress
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.plan import value_text


@dataclass(frozen=True)
class Attempt:
    """Settings that are tried with a seed, and the run that does it."""

    settings: tuning.Settings
    seed: int
    job: Job


@dataclass(frozen=True)
class Method:
    """A method on a dataset and a backbone.

    Attributes:
        name: protocol/data/backbone/method.
        recipe: Of its runs.
        known: What was tried before.
    """

    name: str
    recipe: Recipe
    known: Evidence | None

    @property
    def table(self) -> str:
        """protocol/data/backbone, of which all methods have the same trials."""
        return self.name.rpartition("/")[0]


def methods(jobs: Iterable[Job], overrides: Sequence[str]) -> list[Method]:
    """Return the methods of runs, each once: an ablation is tuned as its method.

    Args:
        jobs: The runs.
        overrides: "key=value", of where and how the trials run.

    Raises:
        UserError: a run is a scratch run, or its protocol tunes nothing.
    """
    found = dict[str, Method]()
    for job in jobs:
        run = RunName.parse(job.name)
        plain = str(replace(run, options=(), seed=None))
        if run.scratch:
            raise UserError(f"{job.name}: what is tuned are runs without overrides")
        if plain not in found:
            recipe = compose.load(plain, overrides)
            wanted = ("trials", "space", "seeds")
            if lacks := [f"tuning.{key}" for key in wanted if not getattr(recipe.tuning, key)]:
                file = f"recipes/protocols/{run.protocol}.yaml"
                raise UserError(f"{file} has no {' and '.join(lacks)}: it tunes nothing")
            found[plain] = Method(plain, recipe, results.read(results.path(plain)))
    return list(found.values())


def attempts(method: Method, widened: tuning.Widened, overrides: Sequence[str]) -> list[Attempt]:
    """Return all that is tried of a method, one after the other.

    Args:
        method: The method.
        widened: How far ranges were widened.
        overrides: "key=value", of where and how the trials run.

    Raises:
        UserError: a trial comes twice, or a value can't be.
    """
    found, recipe = [], method.recipe
    own = {key: far for key, far in widened.items() if key in recipe.tuning.space}
    for tried in tuning.settings(recipe.tuning, own):
        changed = tuning.trial_overrides(recipe, tried)
        chosen = (*(f"{key}={value_text(value)}" for key, value in changed.items()), *overrides)
        for seed in recipe.tuning.seeds:
            base = f"{method.name}/seed{seed}"
            found.append(Attempt(tried, seed, Job(base, chosen, compose.load(base, chosen))))
    if (different := len({each.job.name for each in found})) < len(found):
        raise UserError(
            f"{method.name}: of {len(found)} trials only {different} differ; as many values as "
            "trials belong in tuning.space, of keys that change a run, and each seed once"
        )
    return found


def outcome(method: Method, attempt: Attempt, lister: Lister) -> Trial | None:
    """Return what came out of an attempt, None where it is still to be run.

    Args:
        method: Of which it is.
        attempt: The attempt.
        lister: What tells which data a recipe is of.
    """
    if known := _known(method, attempt):
        return known
    if has_diverged(attempt.job):
        return Trial(settings=attempt.settings, seed=attempt.seed)
    found = standing(attempt.job.recipe, lister)
    if found is None or found.state != "done":
        return None
    run = record.read(record.path(attempt.job.name))
    return Trial(
        settings=attempt.settings,
        seed=attempt.seed,
        top1=run.metrics.top1,
        device_seconds=run.cost.device_seconds,
        commit=run.environment.commit,
    )


def has_diverged(job: Job) -> bool:
    """Return whether a run of today's recipe ended because its numbers were none any more."""
    return changed_since_divergence(job) == {}


def changed_since_divergence(job: Job) -> dict[str, Any] | None:
    """Return what changed of a run's recipe since its numbers were none; None: they never were."""
    line = progress.last(job.folder) or {}
    failed = line.get("stage") == "failed" and not record.path(job.name).exists()
    if not failed or progress.DIVERGED not in progress.message(line):
        return None
    return compose.changes(line.get("recipe", {}), compose.stored(job.recipe))


def _known(method: Method, attempt: Attempt) -> Trial | None:
    """Return what the evidence says of an attempt, None where it is of another recipe."""
    if method.known is None:
        return None
    today = compose.stored(attempt.job.recipe)
    if compose.changes(method.known.recipe, today).keys() - {*attempt.settings, "seed"}:
        return None
    wanted = attempt.settings, attempt.seed
    return next(
        (each for each in method.known.trials if (each.settings, each.seed) == wanted), None
    )


def evidence(
    method: Method, tried: Sequence[Attempt], trials: Sequence[Trial], widened: tuning.Widened
) -> Evidence:
    """Return what the choice of a method rests on, and the choice.

    Args:
        method: The method.
        tried: All attempts.
        trials: What came out of each.
        widened: How far ranges were widened.

    Raises:
        UserError: every trial diverged.
    """
    chosen, space = results.choose(trials), method.recipe.tuning
    first = tried[0].job.recipe
    runs = [found for each in tried if (found := _record(each.job))]
    if runs:
        there = runs[0].train.epochs * runs[0].data.splits["train"].videos
        clips = min(there, runs[0].train.steps * first.train.batch) * len(trials)
        holdout = runs[0].data.splits["holdout"]
    else:
        assert method.known is not None  # or none would have an outcome
        clips = method.known.clips // len(method.known.trials) * len(trials)
        holdout = method.known.holdout
    return Evidence(
        name=method.name,
        recipe=compose.stored(first),
        space=dict(space.space),
        widened={key: tuple(far) for key, far in widened.items() if key in space.space},
        clips=clips,
        epochs=first.train.epochs,
        holdout=holdout,
        trials=tuple(trials),
        chosen=chosen,
        edges=tuple(results.edges(trials, chosen, tuning.ranges(space))),
    )


def _record(job: Job) -> Record | None:
    """Return the record of a run, None where there is none of today's recipe."""
    try:
        found = record.read(record.path(job.name))
    except UserError:
        return None
    return None if compose.changes(found.recipe, compose.stored(job.recipe)) else found
