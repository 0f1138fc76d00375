"""Anyone can ask how a sweep is: what is done, running, queued, failed and why, missing, stale."""

import io
import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from made_record import made_record
from places import set_places
from rich.console import Console

from benchmark.cli.parser import main
from benchmark.recipes import compose
from benchmark.results import record
from benchmark.results.staleness import changes
from benchmark.runs import progress
from benchmark.sweeps import status
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers import slurm_queue
from benchmark.sweeps.launchers.slurm_queue import QueuedJob
from datamodules import files

PREFIX = "quick/digits_motion/vit_digits"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    set_places(monkeypatch, tmp_path)


def job(method="aim", seed=0):
    target = f"{PREFIX}/{method}/seed{seed}"
    return Job(target, (), compose.load(target))


def finish(job, **changed):
    old = replace(job.recipe, **changed)
    return made_record(job.name, old, cost={"train_seconds": 75.0}).write()


def state(job):
    (found,) = status.statuses([job])
    return found.state, found.detail


def test_a_run_nobody_started_is_missing():
    assert state(job()) == ("missing", "")


def test_a_done_run_tells_its_accuracy():
    finish(job())
    assert state(job()) == ("done", "top-1 50.0 %, 1:15 min of training")


def test_a_broken_record_is_told_with_its_file():
    file = finish(job())
    file.write_text("{")
    found, detail = state(job())
    assert found == "broken" and str(file) in detail and "not a record" in detail


def test_a_run_whose_recipe_changed_is_stale_and_says_how():
    one = job()
    finish(one, optim=replace(one.recipe.optim, lr=9.0))
    assert state(one) == ("stale", f"optim.lr: 9.0 -> {one.recipe.optim.lr}")


def test_where_a_run_ran_does_not_make_it_stale():
    one = job()
    finish(one, workers=7, trainer=replace(one.recipe.trainer, devices=8))
    assert state(one)[0] == "done"


@pytest.mark.parametrize(
    ("stage", "found"),
    [("failed", "failed"), ("preempted", "interrupted"), ("killed", "interrupted")],
)
def test_a_run_that_ended_says_why(stage, found):
    progress.write(job().folder, stage=stage, message="Traceback:\n  in f\nthe loss is nan\n")
    assert state(job()) == (found, "the loss is nan")


def test_a_run_that_vanished_says_how_far_it_was():
    progress.write(job().folder, stage="fit", step=5, steps=9, epoch=4, epochs=8, top1=0.25)
    assert state(job()) == ("interrupted", "at epoch 5/8, top-1 25 %")


def test_a_running_run_says_where_it_is_and_how_much_longer():
    one = job()
    code = "import sys, time; from pathlib import Path; from benchmark.runs.folder import lock\n"
    code += "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, one.folder], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        begin, lines = time.time(), []
        for step in (10, 20):
            line = {"stage": "fit", "step": step, "steps": 100, "epoch": 1, "epochs": 10}
            lines.append(json.dumps({"time": begin - 60 + step, **line, "clips_per_second": 80}))
        (one.folder / "progress.jsonl").write_text("\n".join(lines) + "\n")
        found, detail = state(one)
    finally:
        holder.kill()
        holder.communicate()
    assert found == "running"
    assert detail.startswith("epoch 2/10, 80 clips/s, ") and detail.endswith(" left")
    assert state(one)[0] == "interrupted"  # its lock is gone with it


@pytest.mark.parametrize(
    ("place", "found", "detail"),
    [
        (QueuedJob("7_1", "PENDING", "Resources"), "queued", "Slurm job 7_1, Resources"),
        (QueuedJob("7_1", "RUNNING", "None"), "running", "start"),
        (QueuedJob("7_1", "CANCELLED", "None"), "interrupted", "cancelled in Slurm (job 7_1)"),
        (QueuedJob("7_1", "NODE_FAIL", "None"), "interrupted", "ended with its node"),
        (None, "interrupted", "at start"),
    ],
)
def test_slurm_is_asked_about_what_it_was_given(monkeypatch, place, found, detail):
    one = job()
    slurm_queue.write_submission(one.folder, "7_1", time.time())
    monkeypatch.setattr(status, "queue", lambda: {place.job: place} if place else {})
    assert state(one)[0] == found and state(one)[1].startswith(detail)


def test_slurm_is_not_asked_where_it_was_given_nothing(monkeypatch):
    monkeypatch.setattr(status, "queue", lambda: pytest.fail("squeue was asked"))
    assert state(job())[0] == "missing"


def test_the_table_counts_and_has_a_line_per_run():
    jobs = [job("aim"), job("full"), job("partial")]
    progress.write(jobs[1].folder, stage="failed", message="[red]no[/red]")
    finish(jobs[2])
    out = io.StringIO()
    status.print_statuses("quick", status.statuses(jobs), Console(file=out, width=20))
    assert [line.split(maxsplit=2) for line in out.getvalue().splitlines()] == [
        ["quick:", "3", "runs: 1 done, 1 failed, 1 missing"],
        ["done", "partial/seed0", "top-1 50.0 %, 1:15 min of training"],
        ["failed", "full/seed0", "[red]no[/red]"],
        ["missing", "aim/seed0"],
    ]


@pytest.mark.slow
def test_the_verb_says_how_a_committed_sweep_is(capsys):
    assert main(["status", "quick"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("quick: 8 runs: 8 missing\n") and len(out.splitlines()) == 9


@pytest.mark.slow
def test_stale_lists_what_changed_since_a_record_was_made(capsys):
    one, other = job("aim"), job("full")
    file = finish(one, seed=0, optim=replace(one.recipe.optim, lr=9.0, warmup=7.0))
    finish(other)
    assert main(["stale"]) == 0
    name, *lines = capsys.readouterr().out.splitlines()
    assert name == one.name and lines == [
        f"  optim.lr: 9.0 -> {one.recipe.optim.lr}",
        f"  optim.warmup: 7.0 -> {one.recipe.optim.warmup}",
    ]
    assert main(["stale", str(file.parents[1])]) == 0
    assert main(["stale", str(record.RESULTS / "none")]) == 2


def test_a_name_that_means_nothing_any_more_is_stale(capsys):
    one = job()
    gone = replace(one.recipe, name=one.name.replace("aim", "aimm"))
    finish(Job(one.base_name, (), gone))
    assert main(["stale"]) == 0
    out = capsys.readouterr().out
    assert "cannot tell" in out and "no method 'aimm'" in out


def test_nothing_stale_is_said_to_be_so(capsys):
    finish(job())
    assert main(["stale"]) == 0
    assert capsys.readouterr().out == "no record is stale\n"


@pytest.mark.slow
def test_the_committed_records_can_be_asked(capsys):
    assert main(["stale", str(files.ROOT / "results")]) == 0
    assert capsys.readouterr().out


def test_an_order_of_heads_that_changed_is_seen():
    target = f"{PREFIX}/zeroi2v/seed0"
    one = Job(target, (), compose.load(target))
    old = {**one.recipe.method, "shifts": {-1: 7}}
    found = made_record(one.name, json.loads(json.dumps({"method": old})))
    assert "method.shifts" in changes(found, one.recipe)[0]
