"""A run's process: how it is started, asked to stop, made to end, and why it ended.

It is a process tree in a session of its own: what it does to its process, or how it dies, is its
own affair. It dies with whoever started it, and its output goes to `RUNS/<name>/log.txt`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmark import launch, progress, record
from benchmark.launch import Job

GRACE = 10.0  # seconds between asking a run to stop and making it end
POLL = 0.2  # seconds between two looks at a process
STOPPED = os.EX_TEMPFAIL  # exit code of a run that was asked to stop and has saved
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ENDED = ("failed", "preempted", "killed")  # stages of a run that has ended without a record


@dataclass(frozen=True)
class Order:
    """What it takes to start a run's process, here or on another machine: plain data."""

    command: tuple[str, ...]
    folder: Path  # where the run works
    record: Path  # what it leaves
    environment: Mapping[str, str]  # over that of the machine


def order(job: Job, sweep: str = "", command: Sequence[str] | None = None) -> Order:
    """Return what it takes to start `job` as part of a sweep; by default `launch.child` is run."""
    environment = {"RUNS": str(record.RUNS), "RESULTS": str(record.RESULTS)}
    if sweep:
        environment["BENCHMARK_SWEEP"] = sweep
    chosen = tuple(command or launch.child(job))
    return Order(chosen, job.folder, record.path(job.name), environment)


def devices(kind: str, ids: str, threads: int) -> dict[str, str]:
    """Return the variables that give a process its devices and its threads.

    Args:
        kind: "cpu" or "gpu".
        ids: CUDA_VISIBLE_DEVICES of what it may use of GPUs.
        threads: that it may use beside GPUs. On a CPU it is one, wherever it runs: results depend
            on it.
    """
    variables = dict.fromkeys(THREADS, str(threads if kind == "gpu" else 1))
    return variables | {"CUDA_VISIBLE_DEVICES": ids if kind == "gpu" else ""}


class Process:
    """A run's process, started by being made.

    Args:
        order: What to start.
        environment: More variables, such as the devices the process has for itself.
        slurm: Whether it is one of several tasks of a Slurm job, which Slurm tells which it is.
            Otherwise it does not see Slurm: Lightning would take an allocation for its own.
        log: Name of the file for its output.
    """

    def __init__(
        self,
        order: Order,
        environment: Mapping[str, str],
        *,
        slurm: bool = False,
        log: str = "log.txt",
    ) -> None:
        self.order, self.since = order, time.time()
        order.folder.mkdir(parents=True, exist_ok=True)
        self.log: IO[bytes] = (order.folder / log).open("ab")
        kept = {k: v for k, v in os.environ.items() if slurm or not k.startswith("SLURM_")}
        parent = os.getpid()

        def prepare() -> None:
            # Slurm sends its signals to every process of a job; this one is for who started us.
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            launch.die_with_parent(parent)

        self._process = subprocess.Popen(
            order.command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=kept | dict(order.environment) | dict(environment),
            start_new_session=True,
            preexec_fn=prepare,
        )

    def ended(self) -> bool:
        """Return whether the process has ended, leaving it a zombie: its id is not reused."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; return whether it came."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.ended():
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(POLL / 4)
        return True

    def ask(self) -> None:
        """Ask the run to save and to stop: the run alone, for it needs its children to save."""
        if not self.ended():
            os.kill(self._process.pid, signal.SIGTERM)

    def leave(self) -> int:
        """End what is left of the process and its children; return its exit code."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self.log.close()
        return self._process.wait()

    def close(self) -> str:
        """Leave the process; return why it left no record, or nothing, and note it if it did not.

        What it returned is `code` from then on.
        """
        self.code = self.leave()
        line = progress.last(self.order.folder) or {}
        told = line.get("stage") in ENDED and line["time"] >= self.since
        reason = self._reason(line if told else {})
        if reason and not told:  # for whoever asks how the run is
            stage = "failed" if self.code >= 0 and self.code != STOPPED else "killed"
            progress.write(self.order.folder, stage=stage, message=reason)
        return reason

    def _reason(self, line: Mapping[str, Any]) -> str:
        code = self.code
        if code == 0:
            return "" if self.order.record.exists() else "ended without a record"
        if code == STOPPED:
            return "was asked to stop, and has saved"
        if line.get("stage") == "failed":
            return progress.message(line) or "failed"
        if code < 0:
            killer = signal.Signals(-code).name
            return f"killed by {killer}{' (out of memory?)' if killer == 'SIGKILL' else ''}"
        said = Path(self.log.name).read_text(errors="replace").strip().splitlines()
        if code == 2 and said:  # a mistake of the user, told in one line
            return said[-1].strip()
        return f"exit code {code}{': ' + said[-1].strip()[:200] if said else ''}"


def end(processes: list[Process]) -> list[str]:
    """End processes: ask, wait for `GRACE` seconds, kill; return why each left no record."""
    reasons: list[str] = []
    try:
        for each in processes:
            each.ask()
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and not all(each.ended() for each in processes):
            time.sleep(POLL / 4)
    finally:  # a second Ctrl-C does not wait
        reasons += [each.close() for each in processes]
    return reasons
