"""Ray packs runs on devices; one whose worker died goes on, one that fails by itself does not."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from small_sweep import (
    finish,
    local,
    metrics,
    needed,
    resumed,
    saved,
    stages,
    start,
    wait,
    work,
    write,
)

from benchmark.errors import UserError
from benchmark.recipes.schema import Recipe, Trainer
from benchmark.runs import progress
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers import ray

__all__ = ["local"]

# A sweep of runs that are only scripts: `jobs` is a list of a name, a number of devices and a
# script each, in which `folder` is where the run works and `done()` leaves its record.
SWEEP = """
import json, os, sys
from benchmark.recipes.schema import Recipe, Trainer
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers import ray
CHILD = '''
import json, os, signal, subprocess, sys, time
from pathlib import Path
folder, result = map(Path, sys.argv[1:])
def done():
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text("{}")
'''
ray.cores = lambda: 2
scripts, jobs = {}, []
for name, devices, script in json.loads(sys.argv[1]):
    trainer = Trainer("cpu", devices, 1, "auto", "32-true")
    jobs.append(Job(name, (), Recipe(trainer=trainer, name=f"p/d/b/{name}/seed0")))
    scripts[name] = CHILD + script
def command(job):
    result = f"{os.environ['RESULTS']}/{job.name}.json"
    return [sys.executable, "-c", scripts[job.base_name], str(job.folder), result]
for failure in ray.run(jobs, title="mine", command=command):
    print("FAILED", failure.job.base_name, failure.reason)
"""


@pytest.fixture(autouse=True)
def ray_is_here():
    needed(find_spec("ray") is not None, "Ray")


def sweep(folder, *jobs, **environment):
    places = {"RUNS": str(folder / "runs"), "RESULTS": str(folder / "results")}
    return subprocess.Popen(
        [sys.executable, "-c", SWEEP, json.dumps(jobs)],
        env={**os.environ, **places, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path, local, record_property):
    write(tmp_path)
    process = start(tmp_path, "sweep", "mine", "--on", "ray")
    wait(lambda: saved(tmp_path, "zeroi2v"))
    folder = work(tmp_path, "zeroi2v")
    run = int((folder / "lock").read_text().split()[1])
    worker = parent(run)
    os.kill(worker, signal.SIGKILL)
    wait(lambda: not alive(run), 5)  # it dies with its worker
    out = finish(process)
    assert resumed(tmp_path, "zeroi2v") == 1
    assert metrics(tmp_path) == local
    assert stages(folder).count("done") == 1 and "failed" not in stages(folder)
    told = f"worker {worker} of Ray killed with its run {run}: started again, resumed, and "
    record_property("Sweeps on clusters", f"{told}2 records with the metrics of a local sweep")
    assert "linear_probe" in out and "zeroi2v" in out


@pytest.fixture
def cluster(tmp_path):
    """Start a Ray cluster of a head without cores and two nodes of one; return its variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "HOME": str(tmp_path),  # where Ray keeps what its nodes know each other by
        "RAY_AUTH_MODE": "token",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_failure_threshold": "3",
    }
    options = ["--block", "--disable-usage-stats", "--object-store-memory=100000000"]
    ray = [str(Path(sys.executable).with_name("ray"))]
    head = ["start", "--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false"]
    node = ["start", f"--address=127.0.0.1:{port}", "--num-cpus=1"]
    variables = {**os.environ, **environment}
    log = (tmp_path / "ray.txt").open("a")
    quiet = {"env": variables, "stdout": log, "stderr": log, "start_new_session": True}
    subprocess.run([*ray, "get-auth-token", "--generate"], env=variables, capture_output=True)
    started = []
    try:
        for command in (head, node, node):
            started.append(subprocess.Popen([*ray, *command, *options], **quiet))
            up = (tmp_path / "ray.txt").read_text
            wait(lambda: up().count("Ray runtime started") == len(started))  # noqa: B023
        yield {**environment, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    finally:
        for each in reversed(started):
            each.terminate()
        for each in started:
            each.wait(30)
        log.close()


@pytest.mark.slow
def test_a_node_that_dies_loses_nothing(cluster, tmp_path, record_property):
    script = "(folder / 'starts').open('a').write(f'{os.getpid()}\\n')\n"
    script += "time.sleep(100) if len((folder / 'starts').read_text().split()) == 1 else done()"
    process = sweep(tmp_path, ("a", 1, script), **cluster)
    starts = tmp_path / "runs/p/d/b/a/seed0/starts"
    run = int(wait(lambda: starts.exists() and starts.read_text()))
    node = parent(parent(run))
    os.kill(node, signal.SIGKILL)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0 and "FAILED" not in out, out
    assert len(starts.read_text().split()) == 2 and not alive(run)
    told = f"node {node} of a Ray cluster at {cluster['RAY_ADDRESS']} killed: its run started again"
    record_property("Sweeps on clusters", f"{told} on the other node")


@pytest.mark.slow
def test_a_run_that_fails_is_tried_once_and_what_is_stopped_goes_on(tmp_path):
    count = "(folder / 'starts').open('a').write('x')\n"
    env = "(folder / 'env').write_text(json.dumps({**os.environ, 'nice': os.nice(0)}))\n"
    again = "time.sleep(1) if (folder / 'starts').read_text() == 'xx' else sys.exit(75)\n"
    process = sweep(
        tmp_path,
        ("fine", 1, count + env + "done()"),
        ("bad", 1, count + "print('no luck'); sys.exit(3)"),
        ("mistake", 1, count + "print('no videos in x'); sys.exit(2)"),
        ("stopped", 2, count + again + "done()"),
    )
    out, _ = process.communicate(timeout=200)
    failed = sorted(line for line in out.splitlines() if line.startswith("FAILED"))
    assert failed == ["FAILED bad exit code 3: no luck", "FAILED mistake no videos in x"], out
    place = tmp_path / "runs" / "p/d/b"
    starts = {f.parents[1].name: f.read_text() for f in place.glob("*/seed0/starts")}
    assert starts == {"fine": "x", "bad": "x", "mistake": "x", "stopped": "xx"}
    assert progress.last(place / "bad" / "seed0")["stage"] == "failed"
    environment = json.loads((place / "fine" / "seed0" / "env").read_text())
    assert environment["OMP_NUM_THREADS"] == "1" and environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["BENCHMARK_SWEEP"] == "mine" and environment["HF_HUB_OFFLINE"] == "1"
    assert environment["nice"] == os.nice(0)  # as a run of any other launcher


@pytest.mark.slow
def test_an_interrupted_sweep_asks_its_runs_to_stop(tmp_path):
    save = "signal.signal(signal.SIGTERM, lambda *_: ((folder / 'saved').touch(), sys.exit(75)))\n"
    script = save + "(folder / 'pid').write_text(str(os.getpid()))\ntime.sleep(100)"
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background is deaf to it
    try:
        process = sweep(tmp_path, *((name, 1, script) for name in "abc"))
    finally:
        signal.signal(signal.SIGINT, before)
    wait(lambda: len([f for f in tmp_path.rglob("pid") if f.read_text()]) == 2)
    pids = [int(file.read_text()) for file in tmp_path.rglob("pid")]
    time.sleep(0.5)  # for its handler
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in out
    assert len(list(tmp_path.rglob("saved"))) == 2 and not any(map(alive, pids))


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"no Ray at RAY_ADDRESS=127\.0\.0\.1:1: .*refused"):
        ray.run([job()])


def job(nodes=1):
    trainer = Trainer("cpu", 1, nodes, "auto", "32-true")
    return Job("t", (), Recipe(trainer=trainer, name="p/d/b/m/seed0"))


def test_without_ray_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--on ray needs Ray: pip install '\.\[ray\]'"):
        ray.run([job()])


@pytest.mark.slow
def test_a_run_on_several_nodes_is_for_slurm(tmp_path):
    code = SWEEP.replace('"cpu", devices, 1,', '"cpu", 1, devices,')
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps([("a", 2, "done()")])],
        env={**os.environ, "RUNS": str(tmp_path), "RESULTS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "UserError: p/d/b/a/seed0: trainer.num_nodes is 2" in ended.stderr
    assert "--on slurm can do it" in ended.stderr and not list(tmp_path.iterdir())
