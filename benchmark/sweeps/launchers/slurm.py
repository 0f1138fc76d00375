"""Run a sweep on a Slurm cluster: a job per run, given to the queue by submitit.

Jobs with the same resources are one array, of which `slurm.at_once` run at a time. A job that is
preempted or out of time has its run save and stop, and queues itself again: submitit does that, on
the one signal it asks Slurm for; Lightning's own requeueing is off. A job whose node fails Slurm
queues again, and the run goes on from its last checkpoint.

How a job is, Slurm's queue tells, and the files in the run's folder.
"""

import json
import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from benchmark.errors import UserError
from benchmark.results import record
from benchmark.runs import process, progress
from benchmark.runs.folder import held, holder
from benchmark.runs.progress import ENDED
from benchmark.sweeps.display import Display
from benchmark.sweeps.jobs import Failure, Job, run_argv, run_command
from benchmark.sweeps.launchers.slurm_queue import (
    QueuedJob,
    Submission,
    end_reason,
    queue,
    read_submission,
    write_submission,
)
from benchmark.sweeps.launchers.slurm_task import SAVING, SlurmTask
from datamodules import files

NOTICE = int(SAVING) + 30  # seconds before a job's time is up at which Slurm says so
REQUEUES = 1000  # how often a job may run out of time
POLL = 5.0  # seconds between two questions to Slurm


def run(
    jobs: Sequence[Job],
    *,
    title: str = "",
    command: Callable[[Job], list[str]] = run_argv,
) -> list[Failure]:
    """Give `jobs` to Slurm, those excepted that it has already, and watch until all have ended.

    Args:
        jobs: What to run.
        title: The sweep's name, and its jobs'.
        command: The command line of a run's process.

    Returns:
        The runs that left no record.

    Raises:
        UserError: submitit or Slurm is not here, or Slurm refuses a job.
        KeyboardInterrupt: with what to tell: the jobs go on.
    """
    if shutil.which("sbatch") is None:
        raise UserError("--on slurm: no sbatch here; type it where you submit jobs")
    places = queue()
    tickets = {job.name: had for job in jobs if (had := read_submission(job.folder))}
    tickets = {name: t for name, t in tickets.items() if (p := places.get(t.job)) and p.active}
    known, begin = len(tickets), time.time()
    with process.interruptible():
        tickets |= _submit([job for job in jobs if job.name not in tickets], title, command)
        again = f", {known} already there" if known else ""
        print(f"{len(tickets) - known} jobs given to Slurm{again}; Ctrl-C leaves them running")
        try:
            return _watch(jobs, tickets, title, begin)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"the jobs go on in Slurm: `benchmark status {title}` tells how they "
                "are, and the same command watches them again"
            ) from None


def _submit(
    jobs: Sequence[Job], title: str, command: Callable[[Job], list[str]]
) -> dict[str, Submission]:
    """Give jobs to Slurm, an array per kind of resources, and note in their folders which."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        raise UserError("--on slurm needs submitit: pip install '.[slurm]'") from None
    arrays: dict[str, list[Job]] = {}
    for job in jobs:
        arrays.setdefault(json.dumps(resources(job), sort_keys=True), []).append(job)
    tickets: dict[str, Submission] = {}
    for wanted, members in arrays.items():
        asked = json.loads(wanted)
        executor = submitit.SlurmExecutor(files.RUNS / ".slurm", max_num_timeout=REQUEUES)
        executor.update_parameters(job_name=title or "benchmark", **asked)
        kind = "gpu" if "gpus_per_node" in asked else "cpu"
        tasks = asked["nodes"] * asked["ntasks_per_node"]
        since = time.time()
        try:
            with _outside(), executor.batch():
                given = [
                    executor.submit(SlurmTask(run_command(job, title, command(job)), kind, tasks))
                    for job in members
                ]
        except (FailedJobError, FailedSubmissionError) as error:
            said = str(error).strip().splitlines() or ["it does not say why"]
            raise UserError(f"Slurm refuses {members[0].name}: {said[-1]}") from None
        for job, one in zip(members, given, strict=True):
            tickets[job.name] = write_submission(job.folder, one.job_id, since)
    return tickets


def resources(job: Job) -> dict[str, Any]:
    """Return what `job` asks of Slurm, in submitit's words.

    Raises:
        UserError: the recipe does not say how many devices.
    """
    wanted, slurm = job.recipe.trainer, job.recipe.slurm
    if wanted.devices < 1:
        raise UserError(f"{job.name}: trainer.devices is {wanted.devices}; Slurm needs a number")
    cpus = slurm.cpus or job.recipe.workers + 1
    asked = {
        "nodes": wanted.num_nodes,
        "ntasks_per_node": wanted.devices,
        "cpus_per_task": cpus,
        "time": max(1, math.ceil(60 * slurm.hours)),
        "array_parallelism": slurm.at_once,
        "signal_delay_s": NOTICE,
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True},  # where the cluster's default is not to
        # srun does not take this over from sbatch; and a rank that fails must not leave others hang
        "srun_args": [f"--cpus-per-task={cpus}", "--kill-on-bad-exit=1"],
    }
    gpu = {"cpu": False, "auto": _has_gpus(slurm.partition)}.get(wanted.accelerator, True)
    optional = {
        "gpus_per_node": wanted.devices if gpu else None,
        "mem": f"{slurm.memory}GB" if slurm.memory else None,
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
    }
    return asked | {key: value for key, value in optional.items() if value is not None}


def _has_gpus(partition: str | None) -> bool:
    """Return whether any node, of a partition if one is given, has GPUs."""
    command = ["sinfo", "--noheader", "--format=%G"]
    command += [f"--partition={partition}"] if partition else []
    return "gpu" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


@contextmanager
def _outside() -> Iterator[None]:
    """Hide the allocation this process may be in: new jobs must not take it for theirs."""
    hidden = {
        key: os.environ.pop(key)
        for key in list(os.environ)
        if key.startswith(("SLURM_", "SRUN_")) and key != "SLURM_CONF"
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _watch(
    jobs: Sequence[Job], tickets: Mapping[str, Submission], title: str, begin: float
) -> list[Failure]:
    """Watch jobs until all have ended; those with a ticket from before `begin` may run already."""
    left, failures = list(jobs), list[Failure]()
    gone = set[str]()
    with Display(title, [job.name for job in jobs]) as display:
        while left:
            places: dict[str, QueuedJob] | None = None
            with suppress(UserError):  # a controller that restarts, say: ask again
                places = queue()
            for job in list(left) if places is not None else ():
                mine = tickets[job.name]
                place = (places or {}).get(mine.job)
                if place and place.active:
                    if place.at_work and job.name not in display.running:
                        since = mine.since if mine.since < begin else time.time() - 2 * POLL
                        display.started(job.name, job.folder, since)
                    elif not place.at_work and job.name in display.running:
                        display.waits(job.name)
                elif job.name not in gone and not record.path(job.name).exists():
                    gone.add(job.name)  # look once more: files of another machine may come late
                else:
                    left.remove(job)
                    if reason := _fate(job, mine, place):
                        failures.append(Failure(job, reason))
                    display.ended(job.name, reason)
            until = time.monotonic() + POLL
            while left and time.monotonic() < until:
                display.draw()
                time.sleep(process.POLL)
    return failures


def _fate(job: Job, mine: Submission, place: QueuedJob | None) -> str:
    """Return why the run of a job that has ended left no record, or nothing; note it, too."""
    if record.path(job.name).exists():
        return ""
    if held(job.folder):
        return f"is being worked on by {holder(job.folder)}"
    line = progress.last(job.folder) or {}
    ended = line.get("stage") in ENDED and line["time"] >= mine.since
    if ended and line["stage"] == "failed":
        return progress.message(line) or "failed"
    reason = end_reason(mine, place)
    if not reason and ended:
        reason = f"{progress.message(line) or 'stopped'} (Slurm job {mine.job})"
    elif not reason:
        log = files.display_path(files.RUNS / ".slurm" / f"{mine.job}_0_log.out")
        reason = f"Slurm job {mine.job} ended and left no record; {log} may say why"
    broken = place is not None and place.state == "FAILED" and not ended
    progress.write(job.folder, stage="failed" if broken else "killed", message=reason)
    return reason
