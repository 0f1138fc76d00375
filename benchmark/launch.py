"""Start runs as processes of their own, and never leave one behind.

Every run is a process tree in its own session: what it does to its process, or how it dies, is its
own affair. It dies with whoever started it, and its output goes to `RUNS/<name>/log.txt`.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmark import progress, record
from benchmark.display import Display
from benchmark.errors import UserError
from benchmark.recipe import Recipe

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal a process gets when its parent dies
GRACE = 10.0  # seconds between asking a run to end and making it end
POLL = 0.2  # seconds between two looks at the runs
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # found here, before any fork


@dataclass(frozen=True)
class Job:
    """A run to be started: what `recipe.load` is given, and what it returned."""

    target: str  # protocol/data/backbone/method/seedN
    overrides: tuple[str, ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        """The run's name, which says where it works and where its record will lie."""
        return self.recipe.name

    @property
    def folder(self) -> Path:
        """Where the run works."""
        return record.RUNS / self.name


@dataclass(frozen=True)
class Failure:
    """A run that left no record."""

    job: Job
    reason: str  # one line

    @property
    def log(self) -> Path:
        """Where the run's output is."""
        return self.job.folder / "log.txt"


def child(job: Job) -> list[str]:
    """Return the command of a run's process: it exits with 0 once its record is written."""
    return [sys.executable, "-m", "benchmark.run", job.target, *job.overrides]


def cores() -> int:
    """Return how many cores this process may use, a container's quota included."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or the quota is "max"
        return allowed


def gpus() -> list[str]:
    """Return the ids of the GPUs this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [each.strip() for each in visible.split(",") if each.strip() not in ("", "-1")]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return [str(index) for index in range(count)]


def local(
    jobs: Sequence[Job],
    *,
    title: str = "",
    command: Callable[[Job], list[str]] | None = None,
) -> list[Failure]:
    """Run `jobs` on this machine, as many at once as their devices leave room for.

    A run that fails is its own affair: the others go on. Interrupted, every run is asked to end,
    and after `GRACE` seconds made to.

    Args:
        jobs: What to run, in order; a job that does not fit yet lets later ones pass.
        title: The sweep's name.
        command: The command line of a job's process; by default `child`.

    Returns:
        The runs that left no record.

    Raises:
        UserError: a job asks for more than this machine has.
    """
    free = {"cpu": [str(core) for core in range(cores())], "gpu": gpus()}
    needs = {job.name: _devices(job, free) for job in jobs}
    waiting, running, failures = list(jobs), list[_Running](), list[Failure]()
    with _interruptible(), Display(title, [job.name for job in jobs]) as display:
        try:
            while waiting or running:
                for job in list(waiting):
                    kind, count = needs[job.name]
                    if len(free[kind]) >= count:
                        waiting.remove(job)
                        taken = [free[kind].pop(0) for _ in range(count)]
                        running.append(_Running(job, title, kind, taken, (command or child)(job)))
                        display.started(job.name, job.folder)
                for each in [each for each in running if each.ended()]:
                    running.remove(each)
                    free[each.kind] += each.devices
                    if reason := each.close():
                        failures.append(Failure(each.job, reason))
                    display.ended(each.job.name, reason)
                display.draw()
                if running:
                    time.sleep(POLL)
        finally:
            _end(running)
    return failures


def _devices(job: Job, free: dict[str, list[str]]) -> tuple[str, int]:
    """Return the kind and the number of devices `job` needs."""
    wanted = job.recipe.trainer
    kind = {"cpu": "cpu", "gpu": "gpu", "cuda": "gpu", "auto": "gpu" if free["gpu"] else "cpu"}.get(
        wanted.accelerator, "cpu"
    )
    there = len(free[kind])
    count = wanted.devices if wanted.devices > 0 else max(1, there)  # -1: all there are
    if wanted.num_nodes > 1:
        raise UserError(f"{job.name}: trainer.num_nodes is {wanted.num_nodes}, this is one machine")
    if kind == "gpu" and count > there:
        raise UserError(f"{job.name}: asks for {count} GPUs; this machine has {there}")
    return kind, min(count, there)  # processes on a CPU may outnumber its cores


class _Running:
    """A run's process."""

    def __init__(
        self, job: Job, sweep: str, kind: str, devices: list[str], command: list[str]
    ) -> None:
        self.job, self.kind, self.devices = job, kind, devices
        self.since = time.time()
        job.folder.mkdir(parents=True, exist_ok=True)
        self.log: IO[bytes] = (job.folder / "log.txt").open("ab")
        parent = os.getpid()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=_environment(sweep, kind, devices),
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),
        )

    def ended(self) -> bool:
        """Return whether the process has ended, leaving it a zombie: its id is not reused."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group."""
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            pass

    def close(self) -> str:
        """Take leave of an ended process; return why it left no record, or nothing."""
        self.signal(signal.SIGKILL)  # whatever it started and left behind
        code = self.process.wait()
        self.log.close()
        if code == 0 and record.path(self.job.name).exists():
            return ""
        line = progress.last(self.job.folder)
        if code and line and line.get("stage") == "failed" and line["time"] >= self.since:
            return str(line.get("message", "failed"))
        if code < 0:
            killer = signal.Signals(-code).name
            return f"killed by {killer}{' (out of memory?)' if killer == 'SIGKILL' else ''}"
        if code == 0:
            return "ended without a record"
        said = (self.job.folder / "log.txt").read_text(errors="replace").strip().splitlines()
        if code == 2 and said:  # a mistake of the user, told in one line
            return said[-1].strip()
        return f"exit code {code}{': ' + said[-1].strip()[:200] if said else ''}"


def _environment(sweep: str, kind: str, devices: Sequence[str]) -> dict[str, str]:
    """Return the environment of a run: its sweep, its devices, its threads, and no Slurm.

    Inside an allocation Lightning would otherwise take the allocation for the run's own.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    threads = 1 if kind == "cpu" else max(1, cores() * len(devices) // max(1, len(gpus())))
    environment |= dict.fromkeys(THREADS, str(threads))
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices) if kind == "gpu" else ""
    return environment | ({"BENCHMARK_SWEEP": sweep} if sweep else {})


def _end(running: Sequence[_Running]) -> None:
    """End what still runs: ask, wait, kill."""
    for each in running:
        each.signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    try:
        while time.monotonic() < deadline and not all(each.ended() for each in running):
            time.sleep(POLL / 4)
    finally:  # a second Ctrl-C does not wait
        for each in running:
            each.close()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that its runs are ended.

    What is ignored stays ignored: `nohup` asks for that.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    both = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    before = {each: handler for each, handler in both.items() if handler != signal.SIG_IGN}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux).

    Args:
        parent: The parent's process id, where known: it may have died already.
    """
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os._exit(1)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a folder for this process alone; the lock ends with the process, however it ends.

    Raises:
        UserError: another process holds it; it is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not inherited by forks
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(f"{folder} is being worked on by {holder}") from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def clear(folder: Path) -> None:
    """Remove what a run left where it works, its checkpoint above all: it will start afresh.

    Raises:
        UserError: a process works there.
    """
    with lock(folder):
        for each in folder.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != "lock":
                each.unlink()
