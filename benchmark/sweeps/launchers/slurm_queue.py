"""Slurm's queue: which job a run was given to, how it is, and what ended it.

Only squeue is asked, which knows a job for some minutes after its end. Nothing asks Slurm's
accounting, which many clusters lack, and which comes late where there is one.
"""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.runs.folder import SUBMISSION
from datamodules.files import atomic_write

QUEUE = ("squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%r")
AT_WORK = ("RUNNING", "STOPPED", "SUSPENDED", "COMPLETING")
FINAL_STATES = {  # states that a job does not come back from, and what they mean for its run
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
class Submission:
    """Which job of Slurm's a run was given to, as the run's folder has it."""

    job: str  # "12", or "12_3" in an array
    since: float  # when, seconds since 1970


@dataclass(frozen=True)
class QueuedJob:
    """A job in Slurm's queue, or just out of it."""

    job: str
    state: str
    reason: str  # why it waits

    @property
    def active(self) -> bool:
        """Whether the job runs or may run yet."""
        return self.state not in FINAL_STATES

    @property
    def at_work(self) -> bool:
        """Whether the job has begun and not ended: one that was stopped has, too."""
        return self.state in AT_WORK


def read_submission(folder: Path) -> Submission | None:
    """Return the job that the run in `folder` was given to last, None if never to Slurm."""
    try:
        return Submission(**json.loads((folder / SUBMISSION).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):  # TypeError: a key too many
        return None


def write_submission(folder: Path, job: str, since: float) -> Submission:
    """Note in a run's folder which job it was given to, and when; return the note."""
    given = Submission(job, since)
    with atomic_write(folder / SUBMISSION) as file:
        file.write(json.dumps(asdict(given)).encode())
    return given


def queue() -> dict[str, QueuedJob]:
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
    return {job: QueuedJob(job, state, reason) for job, state, reason in lines}


def end_reason(submission: Submission | None, queued: QueuedJob | None) -> str:
    """Return what Slurm says ended a job that is no longer active, or nothing."""
    said = FINAL_STATES.get(queued.state, "") if queued else ""
    return f"{said} (job {submission.job})" if submission and said else ""
