"""Slurm's queue: which job a run was given to, how it is, and what ended it.

Only squeue is asked, which knows a job for some minutes after its end. Nothing asks Slurm's
accounting, which many clusters lack, and which comes late where there is one.
"""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.whole import whole

QUEUE = ("squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%r")
OVER = {  # states that a job does not come back from, and what they mean for its run
    "COMPLETED": "",
    "FAILED": "",
    "CANCELLED": "cancelled in Slurm",
    "TIMEOUT": "ended by Slurm, out of time",
    "OUT_OF_MEMORY": "ended by Slurm, out of memory",
    "PREEMPTED": "preempted, and not queued again by Slurm",
    "NODE_FAIL": "ended with its node, and not queued again by Slurm",
    "BOOT_FAIL": "ended with its node, and not queued again by Slurm",
    "DEADLINE": "ended by Slurm, past its deadline",
    "REVOKED": "revoked by Slurm",
}


@dataclass(frozen=True)
class Ticket:
    """Which job of Slurm's a run was given to, as the run's folder has it."""

    job: str  # "12", or "12_3" in an array
    since: float  # when, seconds since 1970


@dataclass(frozen=True)
class Place:
    """A job in Slurm's queue, or just out of it."""

    job: str
    state: str
    reason: str  # why it waits

    @property
    def active(self) -> bool:
        """Whether the job runs or may run yet."""
        return self.state not in OVER


def ticket(folder: Path) -> Ticket | None:
    """Return the job that the run in `folder` was given to last, None if never to Slurm."""
    try:
        return Ticket(**json.loads((folder / "slurm.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # TypeError: a key too many
        return None


def note(folder: Path, job: str, since: float) -> Ticket:
    """Note in a run's folder which job it was given to, and when; return the note."""
    given = Ticket(job, since)
    with whole(folder / "slurm.json") as file:
        file.write(json.dumps(asdict(given)).encode())
    return given


def queue() -> dict[str, Place]:
    """Return this user's jobs that Slurm knows of, by their id: some minutes after they ended, too.

    Raises:
        UserError: Slurm does not answer.
    """
    try:
        asked = subprocess.run(QUEUE, capture_output=True, text=True, check=True, timeout=60)
    except FileNotFoundError:
        print("warning: some runs were given to Slurm, and there is no squeue here to ask")
        return {}
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise UserError(f"Slurm's queue does not answer: {said[0]}") from None
    lines = (line.split("|", 2) for line in asked.stdout.splitlines() if line.count("|") >= 2)
    return {job: Place(job, state, reason) for job, state, reason in lines}


def told(ticket: Ticket | None, place: Place | None) -> str:
    """Return what Slurm says ended a job that is no longer active, or nothing."""
    said = OVER.get(place.state, "") if place else ""
    return f"{said} (job {ticket.job})" if ticket and said else ""
