"""A sweep does what is missing, all of it, and nothing else."""

import functools
import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from made_record import made_record
from places import set_places
from planned import SWEEPS, planned

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.leaderboard import board, pictures
from benchmark.recipes import compose, proportion
from benchmark.results import answers, examination, record
from benchmark.runs import process, progress
from benchmark.sweeps import sweep
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers import local
from benchmark.sweeps.plan import job as one
from benchmark.sweeps.plan import plan
from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split

pytestmark = pytest.mark.slow

# A run's process without a run: it puts the record it is given in its place, or fails without one.
CHILD = """
import os, sys
made, place = sys.argv[1:]
if not made:
    sys.exit("no luck")
os.makedirs(os.path.dirname(place), exist_ok=True)
os.replace(made, place)
"""


PREPARE = sweep.prepare  # which the other tests do without


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    set_places(monkeypatch, tmp_path)
    monkeypatch.setattr(process, "POLL", 0.02)
    monkeypatch.setattr(sweep, "prepare", lambda jobs: None)
    monkeypatch.setattr(pictures, "draw", lambda found: {})  # takes longer than all the rest
    monkeypatch.setattr(board, "interactive_possible", lambda: False)


@pytest.fixture
def children(tmp_path, monkeypatch):
    """Return a function that says which methods' runs fail; without a call none does."""

    def fail(*methods):
        def command(job):
            loaded = compose.load(job.base_name, job.overrides)  # as a run's process does
            place, made = record.path(loaded.name), ""
            if loaded.method["name"] not in methods:
                with pytest.MonkeyPatch.context() as aside:
                    aside.setattr(record, "RESULTS", tmp_path / "made")
                    made = made_record(loaded.name, loaded).write()
            return [sys.executable, "-c", CHILD, str(made), str(place)]

        monkeypatch.setattr(local, "run", functools.partial(real, command=command))

    real = local.run
    fail()
    return fail


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Return a function that writes the sweep "mine" and returns its file's name."""
    monkeypatch.setattr(compose, "RECIPES", tmp_path / "recipes")
    (tmp_path / "recipes").mkdir()
    for each in (files.ROOT / "recipes").iterdir():
        if each.name != "sweeps":
            (tmp_path / "recipes" / each.name).symlink_to(each)
    (tmp_path / "recipes" / "sweeps").mkdir()
    whole = {
        "protocol": "quick",
        "data": ["digits_motion"],
        "backbone": ["vit_digits"],
        "method": ["linear_probe", "aim"],
        "seed": [0, 1],
    }

    def write(**changed):
        lines = {key: value for key, value in {**whole, **changed}.items() if value is not ...}
        (tmp_path / "recipes" / "sweeps" / "mine.yaml").write_text(json.dumps(lines))

    write()
    return write


def finish(job):
    made_record(job.name, job.recipe).write()


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_can_be_planned(name):
    jobs = planned(name)
    assert jobs and len({job.name for job in jobs}) == len(jobs)
    assert jobs[-1].recipe == compose.load(jobs[-1].base_name, jobs[-1].overrides)


def test_quick_has_the_six_methods_and_the_floor_and_fair_digits_all_there_are():
    few = {"full", "full_divided", "partial", "prompt_tuning"}
    few |= {"st_adapter", "aim", "zeroi2v", "linear_probe"}
    every = set(compose.names("methods")) - {"side4video_512"}  # the digits' 64 is side4video's
    for name, methods, data, seeds in (
        ("quick", few, ["digits_motion"], [0]),
        ("fair_digits", every, ["digits_motion", "digits_identity"], range(5)),
    ):
        wanted = itertools.product([name.partition("_")[0]], data, ["vit_digits"], methods, seeds)
        names = {f"{p}/{d}/{b}/{m}/seed{s}" for p, d, b, m, s in wanted}
        assert {job.name for job in plan(name)} == names


def test_a_plan_is_the_whole_grid(grid):
    grid(method=["aim", "st_adapter,width=24"], data=["digits_motion", "digits_identity"])
    names = [job.name for job in plan("mine")]
    assert len(names) == len(set(names)) == 8
    assert "quick/digits_identity/vit_digits/st_adapter,width=24/seed1" in names


def test_a_grid_of_overrides_makes_scratch_runs(grid):
    grid(
        grid={"optim.lr": [0.001, 0.01], "optim.betas": [[0.9, 0.95]]},
        overrides=["train.holdout=0.2"],
    )
    jobs = plan("mine", ["workers=3"])
    assert len(jobs) == 8
    assert {job.recipe.optim.lr for job in jobs} == {0.001, 0.01}
    for job in jobs:
        assert job.name.startswith("scratch/") and job.recipe.workers == 3
        assert job.recipe.train.holdout == 0.2 and job.recipe.optim.betas == [0.9, 0.95]


def test_two_entries_that_are_one_run_are_run_once(grid):
    grid(method=["aim", "aim"], seed=[0, 0])
    assert len(plan("mine")) == 1


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"method": ["aim", "st_adaptr"]}, "no method 'st_adaptr'.*did you mean 'st_adapter'"),
        (
            {"methods": ["aim"]},
            r"recipes/sweeps/mine\.yaml: unknown key 'methods'; did you mean 'method'",
        ),
        ({"method": "aim"}, "method is 'aim', not a list"),
        ({"seed": ...}, "mine.yaml: seed missing"),
        ({"protocol": "quik"}, "no protocol 'quik'.*'quick'"),
        ({"grid": {"optim.lr": 1}}, r"grid\.optim\.lr is 1, not a list"),
        ({"grid": {"optim.lrr": [1]}}, r"mine\.yaml: unknown key 'optim\.lrr'.*mean 'optim\.lr'"),
        ({"overrides": ["optim.lr"]}, "'optim.lr' is no override"),
        ({"seed": ["one"]}, "'.*/seedone' is no run's name"),
    ],
)
def test_a_mistake_in_a_sweep_stops_before_anything_runs(grid, children, changed, problem):
    grid(**changed)
    with pytest.raises(UserError, match=problem):
        sweep.sweep("mine")
    assert not files.RUNS.exists()


def test_an_unknown_sweep_is_told_with_the_known_ones():
    with pytest.raises(UserError, match="no sweep 'quik' in recipes/sweeps; did you mean 'quick'"):
        plan("quik")


def test_only_what_is_missing_is_run_and_the_board_is_written(grid, children, capsys):
    first, *others = plan("mine")
    finish(first)
    before = record.path(first.name).stat().st_mtime_ns
    assert sweep.sweep("mine") == 0
    assert all(record.path(job.name).exists() for job in others)
    assert record.path(first.name).stat().st_mtime_ns == before and not first.folder.exists()
    board = (record.RESULTS / "quick" / "README.md").read_text()
    assert "`aim`" in board and "`linear_probe`" in board
    out = capsys.readouterr().out
    assert "mine: 3 of 4 runs to do" in out and "README.md" in out

    assert sweep.sweep("mine") == 0
    assert capsys.readouterr().out.startswith("nothing to do: all 4 runs of mine have a record")


def left(jobs):
    return [job for job in jobs if not record.path(job.name).exists()]


def test_a_failed_run_is_told_with_its_log_and_tried_again_when_asked(grid, children, capsys):
    children("aim")
    assert sweep.sweep("mine") == 1
    names = [f"quick/digits_motion/vit_digits/aim/seed{seed}" for seed in (0, 1)]
    out = capsys.readouterr().out
    for name in names:
        (line,) = [
            line
            for line in out.splitlines()
            if line.startswith(f"failed {name}: exit") and "(see " in line
        ]
        assert "no luck" in line and f"{name}/log.txt; --retry runs it again" in line
    assert [job.name for job in left(plan("mine"))] == names
    assert "`linear_probe`" in (record.RESULTS / "quick" / "README.md").read_text()

    children()  # the cause is gone, but nobody said so
    assert sweep.sweep("mine") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("or --retry" in line and "no luck" in line for line in lines)
    assert [line.split(": ")[1] for line in lines] == names
    assert sweep.sweep("mine", retry=True, dry_run=True) == 0
    assert capsys.readouterr().out.split() == names
    assert sweep.sweep("mine", retry=True) == 0 and left(plan("mine")) == []


@pytest.mark.parametrize(
    "stage",
    ["preempted", *(pytest.param(s, marks=pytest.mark.slow) for s in ("start", "fit", "killed"))],
)
def test_an_interrupted_run_goes_on_by_itself(grid, children, stage):
    job = plan("mine")[0]
    progress.write(job.folder, stage=stage, message="asked to stop")
    assert sweep.sweep("mine") == 0 and left(plan("mine")) == []


def test_a_run_that_runs_elsewhere_is_left_to_it(grid, children, capsys):
    job = plan("mine")[0]
    code = "import sys, time; from pathlib import Path; from benchmark.runs.folder import lock\n"
    code += "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, job.folder], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        assert sweep.sweep("mine") == 1
    finally:
        holder.kill()
        holder.communicate()
    out = capsys.readouterr().out
    assert f"left out, it is running already: {job.name}" in out and "3 of 4 runs to do" in out
    assert [each.name for each in left(plan("mine"))] == [job.name]


def test_what_another_sweep_does_meanwhile_is_left_to_it(grid, children, capsys, monkeypatch):
    running, done, *others = plan("mine")
    code = "import sys, time; from pathlib import Path; from benchmark.runs.folder import lock\n"
    code += "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", code, running.folder]
    holders = []

    def prepare(jobs):  # between the plan and the first run
        assert len(jobs) == 4
        holders.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
        assert holders[0].stdout.readline() == b"held\n"
        made_record(done.name, done.recipe, metrics={"top1": 0.25}).write()

    monkeypatch.setattr(sweep, "prepare", prepare)
    try:
        assert sweep.sweep("mine") == 1
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
    out = capsys.readouterr().out
    assert f"left out, it is running elsewhere: {running.name}: is being worked on by" in out
    assert "failed" not in out and progress.last(running.folder) is None
    assert record.read(record.path(done.name)).metrics.top1 == 0.25 and not done.folder.exists()
    assert left(plan("mine")) == [running] and all(job.folder.exists() for job in others)


def test_stale_records_are_told_and_made_again_when_asked(grid, children, capsys):
    jobs = plan("mine")
    for job in jobs:
        finish(job)
    old = replace(jobs[0].recipe, optim=replace(jobs[0].recipe.optim, lr=9.0))
    finish(Job(jobs[0].base_name, (), old))
    (jobs[0].folder).mkdir(parents=True)
    (jobs[0].folder / "last.ckpt").touch()
    answers.path(record.path(jobs[0].name)).touch()
    examination.path(record.path(jobs[0].name)).touch()  # of the old checkpoint

    assert sweep.sweep("mine") == 0  # nothing is missing
    assert "1 record is of an older recipe" in capsys.readouterr().out
    assert record.read(record.path(jobs[0].name)).recipe["optim"]["lr"] == 9

    assert sweep.sweep("mine", again=True) == 0
    assert "1 of 4 runs to do" in capsys.readouterr().out
    assert record.read(record.path(jobs[0].name)).recipe["optim"]["lr"] != 9
    assert not (jobs[0].folder / "last.ckpt").exists()
    assert (jobs[0].folder / "old.seed0.answers.npz").exists()
    assert (jobs[0].folder / "old.seed0.examined.json").exists()
    assert not examination.path(record.path(jobs[0].name)).exists()
    assert json.loads((jobs[0].folder / "old.seed0.json").read_text())["recipe"]["optim"]["lr"] == 9


def test_scratch_runs_stay_off_the_board(grid, children, capsys):
    assert sweep.sweep("mine", ["optim.lr=0.5"]) == 0
    assert not (record.RESULTS / "README.md").exists()
    out = capsys.readouterr().out
    assert "aim,optim.lr=0.5" in out and "scratch" in out.splitlines()[-1]


def test_a_board_older_than_its_records_is_written_again(grid, children, capsys):
    for job in plan("mine"):
        finish(job)
    assert sweep.sweep("mine") == 0  # killed before it wrote the board, say
    assert "`aim`" in (record.RESULTS / "quick" / "README.md").read_text()


def test_a_dry_run_only_says_what_would_run(grid, children, capsys):
    jobs = plan("mine")
    finish(jobs[0])
    assert sweep.sweep("mine", dry_run=True) == 0
    assert capsys.readouterr().out.split() == [job.name for job in jobs[1:]]
    assert not files.RUNS.exists()


def test_every_data_set_is_made_ready_once(grid, monkeypatch):
    made = []
    splits = {
        name: Split.of([f"{name}{i}" for i in range(16)], [0, 1] * 8) for name in ("train", "test")
    }

    def find(package, name):
        info = DatasetInfo(name, ("x", "y"), splits, flip="ok")
        return lambda **options: made.append((name, options)) or info

    monkeypatch.setattr(lookup, "find", find)
    monkeypatch.setattr(proportion, "of_data", lambda *given: [])
    grid(data=["digits_motion", "digits_identity"])
    PREPARE(plan("mine", ["data.root=/x"]))
    assert sorted(name for name, _ in made) == ["digits_identity", "digits_motion"]
    assert all(options["root"] == "/x" for _, options in made)


def test_what_is_odd_or_senseless_about_data_is_told_before_a_run(tmp_path, capsys):
    for video in ("train/x/0.mp4", "train/x/1.mp4", "train/y/0.mp4", "train/y/1.mp4"):
        (tmp_path / video).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / video).touch()
    name, own = "quick/folder/vit_digits/aim", [f"data.root={tmp_path}", "data.test=train"]
    PREPARE([one(name, [*own, "train.batch=4", each]) for each in ("seed=0", "seed=1")])
    said = "warning: folder: 4 of 4 test videos are training videos, too, such as train/x/0.mp4\n"
    assert capsys.readouterr().err == said
    with pytest.raises(UserError, match=r"train\.batch=5 is more than the 4 training videos"):
        PREPARE([one(name, [*own, "train.batch=5"])])
    with pytest.raises(UserError, match=r"train\.batch=4 is more than the 2 training videos"):
        PREPARE([one(name, [*own, "train.batch=4", "train.holdout=0.5"])])
    for file in (tmp_path / "train" / "y").iterdir():
        file.rename(tmp_path / "train" / "x" / f"y{file.name}")
    (tmp_path / "train" / "y").rmdir()
    with pytest.raises(UserError, match="folder: all training videos are of one class, 'x'"):
        PREPARE([one(name, [*own, "train.batch=4"])])


def test_data_that_is_not_there_is_a_users_mistake(monkeypatch):
    def absent(**options):
        raise FileNotFoundError("no videos in /x")

    monkeypatch.setattr(lookup, "find", lambda package, name: absent)
    with pytest.raises(UserError, match="no videos in /x"):
        PREPARE(plan("quick"))
