"""Tuning tries the same number of settings for every method, and writes the best for recipes."""

import json
import math
import shutil
from collections import Counter
from dataclasses import asdict

import pytest
from made_record import made_record
from places import set_places

from benchmark.errors import UserError
from benchmark.leaderboard.pictures import tuning as picture
from benchmark.recipes import compose, tuned
from benchmark.recipes.name import RunName
from benchmark.results import record
from benchmark.results import tuning as results
from benchmark.results.schema import SplitChecksum
from benchmark.runs import progress
from benchmark.sweeps import sweep
from benchmark.sweeps.jobs import Failure
from benchmark.sweeps.launchers import local
from benchmark.sweeps.tune import FURTHEST, STEP, tune
from datamodules import files

pytestmark = pytest.mark.slow

TABLE = "mine/digits_motion/vit_digits"
METHODS = ["aim", "linear_probe"]
SPACE = {"optim.lr": {"low": 1e-4, "high": 1e-2}}
SPLITS = {each: SplitChecksum(videos=4, sha256="f" * 64) for each in ("train", "test", "holdout")}


@pytest.fixture(autouse=True)
def protocol(tmp_path, monkeypatch):
    """Write the protocol "mine", which tunes, and its sweep; return a function that changes it."""
    set_places(monkeypatch, tmp_path)
    monkeypatch.setattr(compose, "RECIPES", tmp_path / "recipes")
    monkeypatch.setattr(sweep, "prepare", lambda jobs: None)
    monkeypatch.setattr(picture, "draw", lambda tables: "drawn")  # takes longer than all the rest
    monkeypatch.setattr(sweep, "demand_runnable", lambda jobs, here=True: None)
    (tmp_path / "recipes/sweeps").mkdir(parents=True)
    shutil.copytree(files.ROOT / "recipes/protocols/quick", tmp_path / "recipes/protocols/mine")
    for file in (tmp_path / "recipes/protocols/mine").iterdir():
        kept = {key: each for key, each in compose.read(f"protocols/mine/{file.stem}").items()}
        file.write_text(json.dumps({"method": kept.get("method", {})}))
    for each in (files.ROOT / "recipes").iterdir():
        if each.name not in ("sweeps", "protocols"):
            (tmp_path / "recipes" / each.name).symlink_to(each)
    grid = {"protocol": "mine", "data": ["digits_motion"], "backbone": ["vit_digits"]}
    grid |= {"method": METHODS, "seed": [0]}
    (tmp_path / "recipes/sweeps/mine.yaml").write_text(json.dumps(grid))
    plain = (files.ROOT / "recipes/protocols/quick.yaml").read_text()

    def write(**changed):
        tuning = {"trials": 3, "seeds": [0], "epochs": 0.34, "space": SPACE, **changed}
        text = f"{plain}\ntuning: {json.dumps(tuning)}\n"
        (tmp_path / "recipes/protocols/mine.yaml").write_text(text)

    write()
    return write


@pytest.fixture(autouse=True)
def runs(monkeypatch):
    """Let runs only leave records; return what was run, and whose the best rate is which."""
    ran, best = list[str](), dict.fromkeys(METHODS, 1e-3)
    best["nan"] = math.inf  # rates above it diverge
    best["crash"] = math.inf

    def run(jobs, title=""):
        failures = []
        for job in jobs:
            ran.append(job.name)
            lr, method = job.recipe.optim.lr, RunName.parse(job.name).method
            if lr > best["nan"] or lr > best["crash"]:
                said = f"loss; {progress.DIVERGED}" if lr > best["nan"] else "out of memory"
                recipe = asdict(job.recipe)
                progress.write(job.folder, stage="failed", message=said, recipe=recipe)
                failures.append(Failure(job, said))
                continue
            top1 = max(0.0, 0.9 - abs(math.log10(lr / best.get(method, 1e-3))) / 100)
            made_record(
                job.name,
                job.recipe,
                metrics={"top1": top1, "split": "holdout"},
                data={"splits": SPLITS},
            ).write()
        return failures

    monkeypatch.setattr(local, "run", run)
    return ran, best


def chosen(method):
    return compose.load(f"{TABLE}/{method}").optim.lr


def test_every_method_gets_as_many_trials_on_what_is_held_out(runs, capsys):
    ran, best = runs
    best |= {"aim": 1e-4, "linear_probe": 1e-3}
    assert tune("mine") == 0
    assert Counter(RunName.parse(name).method for name in ran) == dict.fromkeys(METHODS, 3)
    for name in ran:
        recipe = record.read(record.path(name)).recipe
        assert recipe["train"]["holdout"] == 0.1 and recipe["train"]["epochs"] == 1
    assert (chosen("aim"), chosen("linear_probe")) == (1e-4, 1e-3)
    said = compose.load(f"{TABLE}/aim").tuned
    assert said["trials"] == 3 and said["videos"] == 4 and said["edges"] == ["optim.lr"]
    assert compose.load(f"{TABLE}/linear_probe").tuned["edges"] == []
    assert "at the end of its range (optim.lr)" in capsys.readouterr().out
    page = (record.RESULTS / "mine/tuning/README.md").read_text()
    assert "| `aim` | `optim.lr` 0.0001 | 90.0 |" in page
    for each in ("tuning.svg", "tuning-dark.svg"):
        assert (record.RESULTS / "mine/tuning" / each).read_text() == "drawn"


def test_what_was_tried_is_not_tried_again_even_where_only_the_evidence_is_left(runs, capsys):
    ran, _ = runs
    tune("mine")
    before = {file: file.read_bytes() for file in record.RESULTS.rglob("mine/tuning/*")
              if file.is_file()}  # fmt: skip
    tuned_before = tuned.path(f"{TABLE}/aim").read_bytes()
    ran.clear()
    assert tune("mine") == 0 and ran == []
    shutil.rmtree(record.RESULTS / "scratch")  # as in a fresh clone
    assert tune("mine") == 0 and ran == []
    assert all(file.read_bytes() == old for file, old in before.items())
    assert tuned.path(f"{TABLE}/aim").read_bytes() == tuned_before
    assert tune("mine", dry_run=True) == 0
    assert "nothing to do: mine is tuned" in capsys.readouterr().out


def test_what_is_known_hangs_on_no_record_of_another_recipe(runs):
    tune("mine")
    file = results.path(f"{TABLE}/aim")
    before = file.read_bytes()
    splits = {each: SplitChecksum(videos=9, sha256="0" * 64) for each in SPLITS}
    for each in record.files(record.RESULTS / "scratch"):
        recipe = record.read(each).recipe | {"decoder": "torchcodec"}
        made_record(
            record.read(each).name, recipe, metrics={"split": "holdout"}, data={"splits": splits}
        ).write()
    assert tune("mine") == 0 and file.read_bytes() == before


def test_what_is_missing_is_tried(runs, protocol):
    ran, _ = runs
    tune("mine")
    ran.clear()
    protocol(trials=5)
    assert tune("mine") == 0
    assert len(ran) == 2 * 2  # five values in the same range: three of them are the old ones
    ran.clear()
    protocol(trials=5, epochs=1)
    assert tune("mine") == 0 and len(ran) == 2 * 5  # another recipe: nothing of it is known


def test_an_interrupted_tuning_goes_on_where_it_was(runs, monkeypatch):
    ran, _ = runs
    whole = local.run

    def interrupted(jobs, title=""):
        whole(jobs[:4], title)
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune("mine")
    assert not tuned.path(f"{TABLE}/linear_probe").exists()
    monkeypatch.setattr(local, "run", whole)
    assert tune("mine") == 0
    assert len(ran) == len(set(ran)) == 6


def test_a_range_is_widened_for_all_methods_alike_until_the_best_is_within(runs, capsys):
    ran, best = runs
    best["aim"] = 1e-5
    assert tune("mine", widen=True) == 0
    assert Counter(RunName.parse(name).method for name in ran) == dict.fromkeys(METHODS, 5)
    assert chosen("aim") == 1e-5 and compose.load(f"{TABLE}/aim").tuned["edges"] == []
    assert compose.load(f"{TABLE}/linear_probe").tuned["trials"] == 5
    assert "1 values more below the range of optim.lr" in capsys.readouterr().out
    ran.clear()
    assert tune("mine") == 0 and ran == []  # what was widened stays so
    assert chosen("aim") == 1e-5


def test_a_range_is_not_widened_for_ever(runs, capsys):
    ran, best = runs
    best["aim"] = 1e9
    assert tune("mine", widen=True) == 0
    assert len(ran) == 2 * (3 + STEP * FURTHEST)
    assert compose.load(f"{TABLE}/aim").tuned["edges"] == ["optim.lr"]
    assert "not widened further" in capsys.readouterr().out


def test_a_range_is_not_widened_to_what_its_key_does_not_take(runs, protocol, capsys):
    ran, _ = runs
    dropout = {"low": 0.0, "high": 0.4, "scale": "linear"}
    protocol(space={"train.head_dropout": dropout}, trials=2)  # all are equally right
    assert tune("mine", widen=True) == 0 and len(ran) == 2 * 2
    assert "train.head_dropout is -0.4, not at least 0" in capsys.readouterr().out
    assert compose.load(f"{TABLE}/aim").train.head_dropout == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": {"train.head_dropout": [0, 0.5]}}, "of 3 trials only 2 differ"),
        ({"space": {"workers": [0, 1, 2]}}, "of 3 trials only 1 differ"),
        ({"seeds": [0, 0]}, "of 6 trials only 3 differ"),
        ({"seeds": []}, "mine.yaml has no tuning.seeds: it tunes nothing"),
    ],
)
def test_no_trial_counts_twice(runs, protocol, changed, said):
    protocol(**changed)
    with pytest.raises(UserError) as caught:
        tune("mine")
    assert said in str(caught.value) and runs[0] == []


def test_a_training_that_diverged_is_a_trial_that_came_out_badly(runs):
    ran, best = runs
    best["nan"] = 5e-3
    assert tune("mine") == 0 and chosen("aim") == 1e-3
    trials = results.read(results.path(f"{TABLE}/aim")).trials
    assert [each.top1 is None for each in trials] == [False, False, True]
    ran.clear()
    assert tune("mine") == 0 and ran == []


def test_a_training_that_diverged_says_nothing_of_another_recipe(runs):
    ran, best = runs
    best["nan"] = 5e-3
    tune("mine")
    best["nan"] = math.inf
    protocol = compose.RECIPES / "protocols/mine.yaml"
    protocol.write_text(protocol.read_text().replace("head_lr: 1e-2", "head_lr: 2e-2"))
    ran.clear()
    assert tune("mine") == 0 and len(ran) == 2 * 3
    trials = results.read(results.path(f"{TABLE}/aim")).trials
    assert all(each.top1 is not None for each in trials)


def test_a_trial_that_failed_is_told_and_nothing_is_chosen_without_it(runs, capsys):
    ran, best = runs
    best["crash"] = 5e-3
    assert tune("mine") == 1
    out = capsys.readouterr().out
    assert "out of memory" in out and f"not tuned yet, trials are missing: {TABLE}/aim" in out
    assert not results.path(f"{TABLE}/aim").exists()
    ran.clear()
    assert tune("mine") == 1 and ran == []
    best["crash"] = math.inf
    assert tune("mine", retry=True) == 0 and len(ran) == 2


def test_one_run_alone_can_be_tuned_and_an_ablation_shares_with_its_method(runs):
    ran, _ = runs
    assert tune(f"{TABLE}/st_adapter,width=24/seed2") == 0
    assert len(ran) == 3 and chosen("st_adapter") == chosen("st_adapter,width=24") == 1e-3


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("quick", [], "no sweep 'quick'"),
        ("quick/digits_motion/vit_digits/aim", [], "quick.yaml has no tuning.trials"),
        ("mine", ["train.epochs=1"], "would tune another recipe"),
        ("mine", ["worker=1"], "would tune another recipe"),
    ],
)
def test_what_cannot_be_tuned_is_told(name, overrides, said):
    shutil.copy(files.ROOT / "recipes/protocols/quick.yaml", compose.RECIPES / "protocols")
    with pytest.raises(UserError) as caught:
        tune(name, overrides)
    assert said in str(caught.value)


def test_a_sweep_of_runs_that_are_not_tuned_starts_nothing_unless_asked(runs, monkeypatch):
    ran, _ = runs
    with pytest.raises(UserError, match=r"2 of 2 runs are not tuned.*benchmark tune mine"):
        sweep.sweep("mine")
    assert ran == []
    monkeypatch.setattr(sweep.board, "refresh", lambda: None)
    sweep.sweep("mine", ["untuned=true"])
    assert len(ran) == 2 and not any(name.startswith("scratch/") for name in ran)
