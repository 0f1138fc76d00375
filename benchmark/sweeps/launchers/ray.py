"""Run a sweep with Ray: on this machine, or on the cluster that RAY_ADDRESS names.

A run is a Ray task that asks for the run's devices. A task whose worker or node dies Ray starts
again elsewhere, and its run goes on from its last checkpoint: the folders for runs and results are
shared. A run that fails by itself is not tried again. Between runs of several sizes Ray is fair,
not greedy: a large one that waits may keep a device idle that a small one could take.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.errors import UserError
from benchmark.runs import process, progress
from benchmark.runs.folder import held, holder
from benchmark.runs.process import EXIT_PREEMPTED, RunCommand
from benchmark.sweeps.devices import cores, device_variables, devices_of, gpus
from benchmark.sweeps.display import Display
from benchmark.sweeps.jobs import Failure, Job, run_argv, run_command

RETRIES = 10  # of a run, after workers and nodes that died
# Beginnings of variables that go along to other machines.
CARRIED = ("BENCHMARK_PATH", "HF_", "TORCH_HOME", "WANDB_")
MEMORY = 100 * 2**20  # bytes for Ray's object store: nothing is kept there


class Interrupted(Exception):
    """A run was stopped by somebody else: Ray is to start it again."""


def run(
    jobs: Sequence[Job],
    *,
    title: str = "",
    command: Callable[[Job], list[str]] = run_argv,
) -> list[Failure]:
    """Run `jobs` with Ray. Interrupted, every run is asked to save and to stop.

    Args:
        jobs: What to run.
        title: The sweep's name.
        command: The command line of a run's process, the same on every machine.

    Returns:
        The runs that left no record.

    Raises:
        UserError: Ray is not here, or a job asks for more than any of its machines has.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15, and runs starve where others work
    try:
        import ray
    except ImportError:
        raise UserError("--on ray needs Ray: pip install '.[ray]'") from None
    _connect(ray)
    try:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus, gpus = (int(max(m.get(kind, 0) for m in machines)) for kind in ("CPU", "GPU"))
        needs = {job.name: devices_of(job, cpus, gpus) for job in jobs}
        remote = ray.remote(max_retries=RETRIES, retry_exceptions=[Interrupted])(work)
        tasks: dict[Any, Job] = {}
        for job in jobs:
            kind, count = needs[job.name]
            order = run_command(job, title, command(job))
            asked = {"num_cpus": count, "num_gpus": count if kind == "gpu" else 0}
            environment = {k: v for k, v in os.environ.items() if k.startswith(CARRIED)}
            threads = max(1, cpus * count // max(1, gpus))
            task = remote.options(name=job.name, **asked).remote(order, kind, threads, environment)
            tasks[task] = job
        with process.interruptible():
            return _watch(ray, tasks, title)
    finally:
        ray.shutdown()


def _connect(ray: Any) -> None:
    """Connect to the cluster of RAY_ADDRESS; without one, start Ray on this machine."""
    quiet = {"log_to_driver": False, "logging_level": "error"}
    address = os.environ.get("RAY_ADDRESS")
    if address:
        try:
            _knock(address)
            ray.init(address=address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            said = str(error).strip().splitlines()
            hint = " (RAY_AUTH_MODE=token, if it wants a token)"
            raise UserError(f"no Ray at RAY_ADDRESS={address}: {said[0]}{hint}") from None
    else:
        ray.init(
            address="local",  # else one that `ray start` left here would be taken
            num_cpus=cores(),
            num_gpus=len(gpus()),
            include_dashboard=False,
            object_store_memory=MEMORY,
            **quiet,
        )


def _knock(address: str) -> None:
    """Raise an OSError if nobody listens at "host:port": Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()


def _watch(ray: Any, tasks: Mapping[Any, Job], title: str) -> list[Failure]:
    begin, failures, left = time.time(), list[Failure](), dict(tasks)
    with Display(title, [job.name for job in left.values()]) as display:
        try:
            while left:
                ended, _ = ray.wait(list(left), timeout=process.POLL)
                for name, folder in ((job.name, job.folder) for job in left.values()):
                    line = progress.last(folder) or {"time": 0}
                    if name not in display.running and line["time"] >= begin:
                        display.started(name, folder)
                for task in ended:
                    job = left.pop(task)
                    if reason := _reason(ray, task):
                        failures.append(Failure(job, reason))
                    display.ended(job.name, reason)
                display.draw()
        except KeyboardInterrupt:
            _cancel(ray, list(left))
            raise
    return failures


def _reason(ray: Any, task: Any) -> str:
    """Return why the run of a task that has ended left no record, or nothing."""
    try:
        return str(ray.get(task))
    except (ray.exceptions.RayError, Interrupted) as error:
        said = str(error).strip().splitlines()
        return f"{type(error).__name__}: {said[0] if said else 'it does not say more'}"


def _cancel(ray: Any, tasks: list[Any]) -> None:
    """End tasks: ask, wait a little longer than they wait for their runs, kill."""
    for task in tasks:
        ray.cancel(task)
    _, rest = ray.wait(tasks, num_returns=len(tasks), timeout=process.GRACE + 5)
    for task in rest:
        ray.cancel(task, force=True)


def work(command: RunCommand, kind: str, threads: int, environment: Mapping[str, str]) -> str:
    """Run one run, in a worker of Ray's; return why it left no record, or nothing.

    Args:
        command: The run.
        kind: "cpu" or "gpu", of which Ray says in CUDA_VISIBLE_DEVICES.
        threads: That it may use beside GPUs.
        environment: Variables that go along.

    Raises:
        Interrupted: somebody asked the run to stop, and not Ray.
    """
    ids = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if held(command.folder):
        return f"is being worked on by {holder(command.folder)}"
    progress.write(command.folder, stage="start")
    running = process.start(command, {**environment, **device_variables(kind, ids, threads)})
    try:
        running.wait()
    except BaseException:  # Ray cancels with a KeyboardInterrupt
        process.end([running])
        raise
    reason = running.finish()
    if running.code == EXIT_PREEMPTED:
        raise Interrupted(reason)
    return reason
