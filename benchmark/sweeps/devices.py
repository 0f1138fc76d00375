"""The devices of a machine, which of them a job needs, and how a process is given them."""

import os
import shutil
import subprocess

from benchmark.errors import UserError
from benchmark.sweeps.jobs import Job

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Return how many cores this process may use, a container's quota included."""
    from joblib import cpu_count  # knows affinity and cgroups; some 0.1 s to import

    return int(cpu_count())


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


def devices_of(job: Job, cpus: int, gpus: int) -> tuple[str, int]:
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


def device_variables(kind: str, ids: str, threads: int) -> dict[str, str]:
    """Return the variables that give a process its devices and its threads.

    Args:
        kind: "cpu" or "gpu".
        ids: CUDA_VISIBLE_DEVICES of what it may use of GPUs.
        threads: that it may use beside GPUs. On a CPU it is one, wherever it runs: results depend
            on it.
    """
    variables = dict.fromkeys(THREADS, str(threads if kind == "gpu" else 1))
    return variables | {"CUDA_VISIBLE_DEVICES": ids if kind == "gpu" else ""}
