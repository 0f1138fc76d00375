"""Run a sweep on this machine: as many runs at once as their devices leave room for."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from benchmark.errors import UserError
from benchmark.results import record
from benchmark.runs import preloaded, process
from benchmark.runs.folder import held, holder
from benchmark.runs.process import Process
from benchmark.sweeps.clip_servers import clip_servers
from benchmark.sweeps.devices import cores, device_variables, devices_of, gpus
from benchmark.sweeps.display import Display
from benchmark.sweeps.jobs import Failure, Job, run_argv, run_command


class _Running(NamedTuple):
    job: Job
    process: Process
    kind: str  # of devices
    devices: list[str]


def run(
    jobs: Sequence[Job],
    *,
    title: str = "",
    command: Callable[[Job], list[str]] = run_argv,
) -> list[Failure]:
    """Run `jobs` on this machine.

    A run that fails is its own affair: the others go on. Interrupted, every run is asked to save
    and to stop, and after `process.GRACE` seconds made to. What another process does or has done
    when its turn comes is left to it.

    Args:
        jobs: What to run, in order; a job that does not fit yet lets later ones pass.
        title: The sweep's name.
        command: The command line of a job's process.

    Returns:
        The runs that left no record.

    Raises:
        UserError: a job asks for more than this machine has.
    """
    cpus, cards = cores(), gpus()
    free = {"cpu": [str(core) for core in range(cpus)], "gpu": list(cards)}
    needs = {job.name: devices_of(job, cpus, len(cards)) for job in jobs}
    waiting, running, failures = list(jobs), dict[str, _Running](), list[Failure]()
    several = len(jobs) > 1 and command is run_argv
    with (
        process.interruptible(),
        preloaded.server() if several else nullcontext() as server,
        clip_servers(jobs) as clips,
        Display(title, [job.name for job in jobs]) as display,
    ):
        try:
            while waiting or running:
                for job in list(waiting) if server is None or server.ready() else ():
                    if reason := _elsewhere(job):
                        waiting.remove(job)
                        display.leave(job.name, reason)
                        failures += [Failure(job, reason)] if held(job.folder) else []
                        continue
                    kind, count = needs[job.name]
                    if len(free[kind]) >= count:
                        waiting.remove(job)
                        taken = free[kind][:count]
                        threads = max(1, cpus * count // max(1, len(cards)))
                        own = device_variables(kind, ",".join(taken), threads)
                        own |= clips.get(job.name, {})
                        try:
                            started = process.start(
                                run_command(job, title, command(job)), own, server=server
                            )
                        except UserError as error:  # nobody can write where it works
                            failures.append(Failure(job, str(error)))
                            display.leave(job.name, str(error))
                            continue
                        del free[kind][:count]
                        running[job.name] = _Running(job, started, kind, taken)
                        display.started(job.name, job.folder)
                for name, each in [*running.items()]:
                    if each.process.ended():
                        del running[name]
                        free[each.kind] += each.devices
                        if reason := each.process.finish():
                            failures.append(Failure(each.job, reason))
                        if each.process.code == process.EXIT_HELD:  # it was quicker
                            display.leave(name, reason)
                        else:
                            display.ended(name, reason)
                display.draw()
                if waiting or running:
                    time.sleep(process.POLL)
        finally:
            process.end([each.process for each in running.values()])
    return failures


def _elsewhere(job: Job) -> str:
    """Return in words what another process does or has done of a job; "" if nothing."""
    if held(job.folder):
        return f"is being worked on by {holder(job.folder)}"
    return "was done by another process" if record.path(job.name).exists() else ""
