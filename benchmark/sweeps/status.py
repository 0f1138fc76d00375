"""How the runs of a sweep are, told from what lies in their folders and what Slurm's queue says.

A run is `done`, `stale` (its record was made by another recipe than its name means today) or of
`other data` than today's, `broken` (what lies in its record's place is none: a sweep makes it
again), `running` (or has stalled, and says since when) or `queued`, `failed` (left out of a sweep
until asked for), `interrupted` (a sweep takes it up from its last checkpoint), or `missing`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from benchmark.recipes import dataset
from benchmark.recipes.dataset import Lister
from benchmark.results.staleness import standing
from benchmark.runs import progress
from benchmark.runs.folder import LOG, held
from benchmark.runs.progress import Follower
from benchmark.sweeps.display import shortened
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers.slurm_queue import (
    QueuedJob,
    Submission,
    end_reason,
    queue,
    read_submission,
)
from datamodules.files import display_path
from datamodules.progress_bar import format_duration

RECORDED = ("done", "stale", "other data", "broken")  # `results.staleness.Standing`
STATES = (*RECORDED, "running", "queued", "failed", "interrupted", "missing")
COLOURS = {"done": "green", "stale": "yellow", "running": "cyan"}
COLOURS |= dict.fromkeys(("other data", "broken", "failed"), "red")


@dataclass(frozen=True)
class Status:
    """How a run is."""

    job: Job
    state: str  # one of STATES
    detail: str = ""  # one line
    slurm: bool = False  # whether a job in Slurm's queue is at it


def statuses(jobs: Sequence[Job]) -> list[Status]:
    """Return how `jobs` are, in their order.

    Raises:
        UserError: some of them were given to Slurm, and its queue does not answer.
    """
    tickets = {job.name: read_submission(job.folder) for job in jobs}
    places = queue() if any(tickets.values()) else {}
    lister = dataset.lister()
    return [_status(job, tickets[job.name], places, lister) for job in jobs]


def _status(
    job: Job, given: Submission | None, places: Mapping[str, QueuedJob], lister: Lister
) -> Status:
    place = places.get(given.job) if given else None
    queued = place is not None and place.active
    if held(job.folder) or (place and place.at_work):
        follower = Follower(job.folder, since=0)
        follower.read()
        left = f", {format_duration(follower.left)} left" if follower.left is not None else ""
        if follower.stalled is not None:
            left = f" (see {display_path(job.folder / LOG)})"
        return Status(job, "running", f"{follower}{left}", slurm=queued)
    if place is not None and queued:
        why = f", {place.reason}" if place.reason not in ("", "None") else ""
        return Status(job, "queued", f"Slurm job {place.job}{why}", slurm=True)
    if recorded := standing(job.recipe, lister):
        return Status(job, recorded.state, recorded.detail)
    line = progress.last(job.folder) or {}
    if line.get("stage") == "failed":
        return Status(job, "failed", progress.message(line))
    if line or given:
        return Status(job, "interrupted", end_reason(given, place) or _where(job, line))
    return Status(job, "missing")


def _where(job: Job, line: dict[str, Any]) -> str:
    """Return how an interrupted run ended, or how far it was."""
    if said := progress.message(line):
        return said
    follower = Follower(job.folder, since=0)
    follower.read()
    return f"at {follower}"


def print_statuses(name: str, statuses: Sequence[Status], console: Console | None = None) -> None:
    """Print how many runs of the sweep `name` are in which state, and a line for each."""
    console = console or Console()
    counts = Counter(each.state for each in statuses)
    listed = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    lines = [Text(f"{name}: {len(statuses)} runs: {listed}")]
    names = shortened([each.job.name for each in statuses])
    width = max(map(len, names.values()), default=0)
    for each in sorted(statuses, key=lambda each: STATES.index(each.state)):
        state = Text(each.state.ljust(len("interrupted")), style=COLOURS.get(each.state, ""))
        lines.append(Text.assemble(state, f"  {names[each.job.name].ljust(width)}  {each.detail}"))
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
