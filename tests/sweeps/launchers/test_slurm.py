"""Slurm runs sweeps: preempted, out of time or cancelled, they end as if nothing had happened.

The Slurm is that of this machine: `tests/fixtures/slurm.sh start` starts one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import slurm_here
from places import set_places
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
from benchmark.recipes.schema import Recipe, Slurm, Trainer
from benchmark.results import record
from benchmark.runs import progress
from benchmark.sweeps.jobs import Job, run_argv
from benchmark.sweeps.launchers import slurm, slurm_queue
from benchmark.sweeps.launchers.slurm_queue import QueuedJob, Submission
from datamodules import files

__all__ = ["local"]
TITLE = "Sweeps on clusters"


@pytest.fixture
def cluster():
    needed(slurm_here.answers(), "Slurm (tests/fixtures/slurm.sh start)")


@pytest.fixture
def places(tmp_path, monkeypatch):
    set_places(monkeypatch, tmp_path)
    monkeypatch.setattr(slurm, "POLL", 0.3)


def jobs_of(folder):
    """Return the Slurm job of every run in `folder`, by the method's name."""
    files = folder.rglob("slurm.json")
    return {f.parents[1].name.split(",")[0]: json.loads(f.read_text())["job"] for f in files}


def training(folder, method):
    """Return whether the run of `method` has saved a checkpoint and trains on."""
    found = saved(folder, method)
    line = progress.last(found[0]) if found else None
    return line is not None and line["stage"] == "fit"


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_preempted_sweep_saves_waits_and_goes_on(cluster, tmp_path, local, record_property):
    write(tmp_path)
    process = start(tmp_path, "sweep", "mine", "--on", "slurm", "slurm.cpus=1")
    wait(lambda: training(tmp_path, "zeroi2v"))
    ask("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    out = finish(process)
    assert metrics(tmp_path) == local
    assert resumed(tmp_path, "zeroi2v") >= 1
    told = stages(work(tmp_path, "zeroi2v"))
    assert "preempted" in told and told[-1] == "done"
    assert any(line.startswith("again ") and "zeroi2v" in line for line in out.splitlines())
    job = jobs_of(tmp_path)["zeroi2v"]
    log = (tmp_path / "runs" / ".slurm" / f"{job}_0_log.out").read_text()
    assert f"Requeued job {job}" in log  # by submitit, and by nobody else
    told = f"Slurm job {job} preempted by a partition of higher priority: saved, queued again"
    record_property(TITLE, f"{told}, resumed, and 2 records with the metrics of a local sweep")


@pytest.mark.slow
def test_who_leaves_a_sweep_finds_it_again_and_what_is_cancelled_goes_on(
    cluster, tmp_path, record_property
):
    write(tmp_path, method=["zeroi2v"])
    command = ("sweep", "mine", "--on", "slurm", "slurm.cpus=1", "train.epochs=12")
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background is deaf to it
    try:
        process = start(tmp_path, *command)
    finally:
        signal.signal(signal.SIGINT, before)
    wait(lambda: training(tmp_path, "zeroi2v"))
    process.send_signal(signal.SIGINT)
    out = finish(process, 130)
    assert "the jobs go on in Slurm: `benchmark status mine`" in out
    job = jobs_of(tmp_path)["zeroi2v"]
    ask("scancel", "--signal=STOP", job)  # or it may end before the next command has started
    said = finish(start(tmp_path, "status", "mine", "train.epochs=12"))
    assert "1 running" in said and "epoch" in said

    process = start(tmp_path, *command)  # typed again it watches, and submits nothing
    assert wait(process.stdout.readline).startswith("mine: 1 of 1")
    assert process.stdout.readline().startswith("0 jobs given to Slurm, 1 already there")
    ask("scancel", job)
    out = finish(process, 1)
    assert f"cancelled in Slurm (job {job})" in out
    assert jobs_of(tmp_path)["zeroi2v"] == job
    said = finish(start(tmp_path, "status", "mine", "train.epochs=12"))
    assert "1 interrupted" in said and f"cancelled in Slurm (job {job})" in said

    finish(start(tmp_path, *command))  # typed again it goes on
    again = jobs_of(tmp_path)["zeroi2v"]
    assert again != job and resumed(tmp_path, "zeroi2v") >= 1
    told = f"Slurm job {job} watched, left, watched again, cancelled in the middle, told;"
    record_property(TITLE, f"{told} typed again: job {again} resumed it, and its record is there")


@pytest.mark.slow
def test_a_run_on_two_tasks_is_one_run_and_is_requeued_once(cluster, tmp_path, record_property):
    options = ("slurm.cpus=1", "trainer.devices=2", "train.epochs=6", "workers=0")
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", method=["zeroi2v"])
    process = start(tmp_path / "a", "sweep", "mine", "--on", "slurm", *options)
    wait(lambda: training(tmp_path / "a", "zeroi2v"))
    job = jobs_of(tmp_path / "a")["zeroi2v"]
    ask("scancel", "--signal=USR2", job)  # what Slurm sends before the time is up
    finish(process)
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", method=["zeroi2v"])
    finish(start(tmp_path / "b", "sweep", "mine", *options))
    (file,) = (tmp_path / "a" / "results").rglob("seed1.json")
    assert json.loads(file.read_text())["environment"]["world_size"] == 2
    assert resumed(tmp_path / "a", "zeroi2v") >= 1
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    log = (tmp_path / "a" / "runs" / ".slurm" / f"{job}_0_log.out").read_text()
    assert "Requeued job" in log
    told = f"Slurm job {job} of two tasks (DDP) got SIGUSR2 in the middle: resumed, and the metrics"
    record_property(TITLE, f"{told} of a local run on two devices that was left in peace")


# Runs that are only scripts, in which `folder` is where the run works, `done()` leaves its record.

CHILD = """
import json, os, signal, sys, time
from pathlib import Path
folder, result = map(Path, sys.argv[1:])
def done():
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text("{}")
"""


def job(name="m", devices=1, nodes=1, accelerator="cpu", workers=0, **options):
    asked = {
        "hours": 1,
        "cpus": None,
        "memory": None,
        "at_once": 2,
        **dict.fromkeys(FREE),
        **options,
    }
    trainer = Trainer(accelerator, devices, nodes, "auto", "32-true")
    slurm = Slurm(**{**asked, **options})
    recipe = Recipe(trainer=trainer, slurm=slurm, workers=workers, name=f"p/d/b/{name}/seed0")
    return Job(f"p/d/b/{name}/seed0", (), recipe)


FREE = ("partition", "account", "qos", "constraint")


def child(**scripts):
    def command(job):
        script = CHILD + scripts[job.name.split("/")[3]]
        return [sys.executable, "-c", script, str(job.folder), str(record.path(job.name))]

    return command


@pytest.mark.slow
def test_a_run_out_of_time_saves_and_is_queued_again(cluster, places, monkeypatch, record_property):
    one = job(hours=1 / 60)  # a minute, and Slurm gives notice of two: at once
    script = """
    (folder / "starts").open("a").write("x")
    if (folder / "saved").exists():
        done(); sys.exit()
    def save(*_):
        (folder / "saved").touch(); sys.exit(75)
    signal.signal(signal.SIGTERM, save)
    time.sleep(100)
    """
    begin = time.time()
    assert slurm.run([one], title="short", command=child(m=textwrap.dedent(script))) == []
    assert (one.folder / "starts").read_text() == "xx"
    log = (
        files.RUNS / ".slurm" / f"{slurm_queue.read_submission(one.folder).job}_0_log.out"
    ).read_text()
    assert "this job is timed-out" in log and "Requeued job" in log
    told = f"a Slurm job out of time: saved, queued again, done after {time.time() - begin:.0f} s"
    record_property(TITLE, told)


@pytest.mark.slow
def test_one_that_fails_is_told_not_queued_again_and_the_others_go_on(cluster, places, capsys):
    jobs = [job("fine"), job("bad"), job("mistake"), job("other", cpus=2)]
    env = "(folder / 'env').write_text(json.dumps(dict(os.environ)))\ndone()"
    count = "(folder / 'starts').open('a').write('x')\n"
    command = child(
        fine=env,
        bad=count + "print('no luck'); sys.exit(3)",
        mistake=count + "print('no videos in x'); sys.exit(2)",
        other="done()",
    )
    failures = slurm.run(jobs, title="mine", command=command)
    assert {(each.job.name.split("/")[3], each.reason) for each in failures} == {
        ("bad", "exit code 3: no luck"),
        ("mistake", "no videos in x"),
    }
    assert "4 jobs given to Slurm" in capsys.readouterr().out
    ids = [slurm_queue.read_submission(each.folder).job.split("_")[0] for each in jobs]
    assert len({*ids[:3]}) == 1 and ids[3] != ids[0]  # an array per kind of resources
    for each in jobs[1:3]:
        assert (each.folder / "starts").read_text() == "x"
        assert progress.last(each.folder)["stage"] == "failed"
    environment = json.loads((jobs[0].folder / "env").read_text())
    assert not [key for key in environment if key.startswith("SLURM_")]
    assert environment["OMP_NUM_THREADS"] == "1" and environment["BENCHMARK_SWEEP"] == "mine"
    assert environment["RUNS"] == str(files.RUNS)


@pytest.mark.slow
def test_what_slurm_refuses_is_one_line(cluster, places):
    with pytest.raises(UserError, match=r"Slurm refuses p/d/b/m/seed0: .*[Ii]nvalid partition"):
        slurm.run([job(partition="none")], command=child(m="done()"))
    assert slurm_queue.read_submission(job().folder) is None


def test_resources_are_those_of_the_recipe(monkeypatch):
    monkeypatch.setattr(slurm, "_has_gpus", lambda partition: partition == "gpu")
    many = job(
        devices=8, nodes=2, accelerator="auto", workers=7, partition="gpu", qos="low", hours=1.51
    )
    asked = slurm.resources(many)
    wanted = {"nodes": 2, "ntasks_per_node": 8, "gpus_per_node": 8, "cpus_per_task": 8, "time": 91}
    assert asked.items() >= {**wanted, "partition": "gpu", "qos": "low"}.items()
    assert not asked.keys() & {"mem", "account", "constraint"}
    assert "--cpus-per-task=8" in asked["srun_args"]
    few = slurm.resources(job(accelerator="auto", cpus=3, memory=16, at_once=5))
    assert few["cpus_per_task"] == 3 and few["mem"] == "16GB" and few["array_parallelism"] == 5
    assert "gpus_per_node" not in few
    assert slurm.resources(job(accelerator="gpu"))["gpus_per_node"] == 1
    with pytest.raises(UserError, match=r"trainer\.devices is -1; Slurm needs a number"):
        slurm.resources(job(devices=-1))


def test_what_ended_a_job_is_told_without_accounting(places, monkeypatch):
    one, mine = job(), Submission("7_1", time.time() - 10)
    cases = {
        "CANCELLED": "cancelled in Slurm (job 7_1)",
        "TIMEOUT": "ended by Slurm, out of time (job 7_1)",
        "OUT_OF_MEMORY": "ended by Slurm, out of memory (job 7_1)",
    }
    for state, reason in cases.items():
        progress.write(one.folder, stage="fit")
        assert slurm._fate(one, mine, QueuedJob("7_1", state, "")) == reason
        assert progress.last(one.folder)["stage"] == "killed"
    progress.write(one.folder, stage="start")
    assert "left no record" in slurm._fate(one, mine, None)  # long gone from the queue
    progress.write(one.folder, stage="start")
    slurm._fate(one, mine, QueuedJob("7_1", "FAILED", ""))
    assert progress.last(one.folder)["stage"] == "failed"
    progress.write(one.folder, stage="failed", message="the loss is nan")
    assert slurm._fate(one, mine, QueuedJob("7_1", "FAILED", "")) == "the loss is nan"


def test_the_queue_is_read_line_by_line(tmp_path, monkeypatch):
    fake = tmp_path / "squeue"
    fake.write_text("#!/bin/sh\nprintf '12_3|RUNNING|None\\n9|PENDING|Resources|x\\n\\n'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    queue = slurm_queue.queue()
    assert queue == {
        "12_3": QueuedJob("12_3", "RUNNING", "None"),
        "9": QueuedJob("9", "PENDING", "Resources|x"),
    }
    assert all(place.active for place in queue.values())
    fake.write_text("#!/bin/sh\necho 'slurm_load_jobs error: no controller' >&2; exit 1\n")
    with pytest.raises(UserError, match="queue does not answer: slurm_load_jobs error"):
        slurm_queue.queue()


def test_away_from_the_cluster_it_is_said_where_to_go(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch here"):
        slurm.run([job()])
    assert slurm_queue.queue() == {} and "no squeue here" in capsys.readouterr().out


def test_without_submitit_it_is_said_how_to_get_it(monkeypatch, places):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(slurm, "queue", dict)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"--on slurm needs submitit: pip install '\.\[slurm\]'"):
        slurm.run([job()])


def test_an_allocation_is_hidden_from_new_jobs(monkeypatch):
    for key in ("SLURM_JOB_ID", "SRUN_CPUS_PER_TASK", "SLURM_CONF", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(key, "x")
    with slurm._outside():
        assert {"SLURM_CONF", "SBATCH_ACCOUNT"} <= os.environ.keys()
        assert not {"SLURM_JOB_ID", "SRUN_CPUS_PER_TASK"} & os.environ.keys()
    assert os.environ["SLURM_JOB_ID"] == "x"


def test_the_default_command_is_a_runs():
    assert run_argv(job())[1:] == ["-m", "benchmark.run", "p/d/b/m/seed0"]
