"""What all launchers of runs share: jobs, the devices they need, and whose folder it is.

The launchers are `on_local`, `on_ray` and `on_slurm`.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark import record
from benchmark.errors import UserError
from benchmark.schema import Recipe

PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal a process gets when its parent dies
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


def devices(job: Job, cpus: int, gpus: int) -> tuple[str, int]:
    """Return the kind, "cpu" or "gpu", and the number of devices `job` needs of a machine.

    Args:
        job: What is to be run.
        cpus: Cores the machine has.
        gpus: GPUs it has.

    Raises:
        UserError: the job asks for more than that.
    """
    wanted = job.recipe.trainer
    kinds = {"cpu": "cpu", "gpu": "gpu", "cuda": "gpu", "auto": "gpu" if gpus else "cpu"}
    kind = kinds.get(wanted.accelerator, "cpu")
    there = gpus if kind == "gpu" else cpus
    count = wanted.devices if wanted.devices > 0 else max(1, there)  # -1: all there are
    if wanted.num_nodes > 1:
        raise UserError(
            f"{job.name}: trainer.num_nodes is {wanted.num_nodes}, this is for one machine each; "
            "--on slurm can do it"
        )
    if kind == "gpu" and count > there:
        raise UserError(f"{job.name}: asks for {count} GPUs; this machine has {there}")
    return kind, min(count, there)  # processes on a CPU may outnumber its cores


@contextmanager
def interruptible() -> Iterator[None]:
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


def held(folder: Path) -> bool:
    """Return whether a process, on any machine that shares the folder, holds its lock.

    Asking takes no lock: a run that starts at that moment is not turned away.
    """
    try:
        with (folder / "lock").open("r+") as file:
            if sys.platform != "linux":  # whose struct flock is another
                return bool(file.read().strip())
            question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, question)
            return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
    except OSError:  # never started, or not ours to ask
        return False


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
