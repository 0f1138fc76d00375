"""What a task of a Slurm job does: it starts its run's process, and hands the job back if told to.

This runs on the cluster's nodes, started by submitit, and tells Slurm only through it.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmark.runs.folder import LOG
from benchmark.runs.process import EXIT_AGAIN, EXIT_PREEMPTED, Process, RunCommand, start
from benchmark.sweeps.devices import device_variables

SAVING = (
    90.0  # seconds a run is given to save: by then Slurm has sent its notice `slurm.NOTICE` ago
)
RUNNING: list[Process] = []  # of this task: where the signal finds it


@dataclass(frozen=True)
class SlurmTask:
    """What a task of a job does: start the run's process and wait; submitit pickles it."""

    command: RunCommand
    kind: str  # of devices
    tasks: int  # of the job

    def __call__(self) -> None:
        """Run."""
        if self.command.record.exists():  # queued again just as it was done
            return
        rank, several = int(os.environ["SLURM_PROCID"]), self.tasks > 1
        threads = int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        given = device_variables(self.kind, os.environ.get("CUDA_VISIBLE_DEVICES", ""), threads)
        log = LOG if rank == 0 else f"log.{rank}.txt"
        running = start(self.command, given, slurm=several, log=log, again=not several)
        RUNNING.append(running)
        running.wait()
        RUNNING.remove(running)
        if rank:
            sys.exit(0 if running.kill() in (0, EXIT_PREEMPTED, EXIT_AGAIN) else 1)
        if not running.finish():
            return
        goes_on = running.code in (EXIT_PREEMPTED, EXIT_AGAIN, -signal.SIGTERM)
        goes_on |= several and running.fewer(killed=running.code == -signal.SIGKILL) is not None
        if goes_on and _own_state() == "RUNNING":
            # Slurm preempts without submitit's signal: hand the job back as if it had come.
            os.kill(os.getpid(), signal.SIGUSR2)
            time.sleep(60)
        sys.exit(1)

    def checkpoint(self) -> Any:
        """Have the run save and stop; return what submitit queues again."""
        from submitit.helpers import DelayedSubmission

        for running in RUNNING:
            running.terminate()
            running.wait(SAVING)
            running.finish()
        return DelayedSubmission(self)


def _own_state() -> str:
    """Return the state of the job that this process is part of, as Slurm sees it."""
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={os.environ['SLURM_JOB_ID']}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
