"""Faults: which there are, which a seed chooses and when, and what delivers one to a sweep at work.

A fault comes after so many steps of the sweep's runs, and a pause, so that it meets them anywhere:
while one starts, trains, saves, tests or ends. Which run it meets is drawn of those at work then.
"""

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typed_sweep import Run, Sweep

KINDS = {
    "kill": "SIGKILL of a run",
    "terminate": "SIGTERM of a run",
    "stop": "SIGSTOP of a run, then SIGCONT",
    "worker": "SIGKILL of a loader worker",
    "launcher": "SIGKILL of the sweep itself",
    "disk": "the disk full, then free",
    "ray": "SIGKILL of a run's Ray worker",
    "requeue": "`scontrol requeue` of a run's job",
}
ONLY = {"ray": "ray", "requeue": "slurm"}  # on which launcher
POLL = 0.05  # seconds between two looks at a sweep


@dataclass(frozen=True)
class Fault:
    """What is to happen, and when.

    Attributes:
        kind: One of KINDS.
        steps: Of the runs' optimisers, after the fault before it.
        pause: Seconds after these.
        draw: From 0 to 1, which of the runs, or workers, it meets.
        seconds: For how long, of what has an end.
    """

    kind: str
    steps: int
    pause: float
    draw: float
    seconds: float


@dataclass(frozen=True)
class Met:
    """A fault that has happened: at which moment, to which runs."""

    kind: str
    time: float  # seconds since 1970
    runs: tuple[str, ...]
    unseen: bool = False  # whether a run that was stopped did not count as at work


def plan(on: str, count: int | None, seed: int, *, steps: int) -> list[Fault]:
    """Return `count` faults of a launcher's, each kind once before any comes again.

    Args:
        on: The launcher.
        count: How many; None: each kind once.
        seed: What they are drawn from.
        steps: Of a whole run.
    """
    chance = random.Random(f"{seed} {on}")
    kinds = [each for each in KINDS if ONLY.get(each, on) == on]
    drawn: list[str] = []
    count = len(kinds) if count is None else count
    while len(drawn) < count:
        drawn += chance.sample(kinds, len(kinds))
    return [
        Fault(
            kind,
            chance.randint(steps // 10, steps // 2),
            chance.uniform(0, 1),
            chance.random(),
            chance.uniform(4, 10),
        )
        for kind in drawn[:count]
    ]


def deliver(fault: Fault, sweep: Sweep) -> Met | None:
    """Let a fault happen, and wait for its end if it has one; None: there is nobody it can meet."""
    at_work, now = sweep.at_work(), time.time()
    if not at_work or sweep.process.poll() is not None:
        return None
    met = Met(fault.kind, now, tuple(each.name for each in at_work))
    if fault.kind == "launcher":
        sweep.process.kill()
        sweep.process.wait()
        return met
    if fault.kind == "disk":
        _fill(sweep.disk / "filler", fault.seconds)
        return met
    run = _drawn(at_work, fault.draw)
    met = replace(met, runs=(run.name,))
    try:
        if fault.kind == "stop":
            return replace(met, unseen=not _stopped(fault.seconds, sweep, run))
        return met if _happens(fault, sweep, run) else None
    except ProcessLookupError:  # it has ended meanwhile
        return None


def _happens(fault: Fault, sweep: Sweep, run: Run) -> bool:
    """Let a fault happen to a run; return whether it can."""
    match fault.kind:
        case "kill":
            os.kill(run.process, signal.SIGKILL)
        case "terminate":
            os.kill(run.process, signal.SIGTERM)
        case "worker":
            if not (workers := run.workers()):
                return False
            os.kill(_drawn(workers, fault.draw), signal.SIGKILL)
        case "ray":
            os.kill(run.parent(), signal.SIGKILL)
        case "requeue":
            command = ["scontrol", "requeue", sweep.slurm_job(run.name)]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return True


def _stopped(seconds: float, sweep: Sweep, run: Run) -> bool:
    """Stop a run for a while; return whether it counted as at work."""
    os.kill(run.process, signal.SIGSTOP)
    try:
        time.sleep(seconds)
        return run in sweep.at_work()
    finally:
        os.kill(run.process, signal.SIGCONT)


def _drawn(of: Sequence[Any], draw: float) -> Any:
    return of[int(draw * len(of))]


def _fill(file: Path, seconds: float) -> None:
    """Take every byte of a disk that is free or comes free, for a while."""
    end = time.monotonic() + seconds
    with file.open("wb", buffering=0) as stream:
        while time.monotonic() < end:
            try:
                stream.write(b"0" * 4096)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                time.sleep(POLL)
    file.unlink()
