"""A record is written whole or not at all, and what is not one is told and left out."""

import json
import os
import subprocess
from dataclasses import asdict, replace

import pytest

from benchmark.errors import UserError
from benchmark.results import record
from benchmark.results.record import Record
from benchmark.training.provenance import code_state

NAME = "quick/digits_motion/vit_digits/aim/seed0"
MADE = Record(
    name=NAME,
    recipe={"seed": 0, "optim": {"lr": 1e-3}},
    metrics={"top1": 0.75, "videos": 4, "split": "test"},
    cost={"trained_parameters": 12, "peak_memory_bytes": None},
    data={"classes": ["é", "<b>"]},
    environment={"commit": "abc", "dirty": False},
    train={"epochs": 1, "curve": [{"epoch": 0, "loss": 1.5}]},
)


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_a_record_survives_the_round_trip(results):
    assert MADE.write() == results / f"{NAME}.json" == record.path(NAME)
    assert record.read(record.path(NAME)) == MADE
    assert record.path(NAME).read_text().endswith("}\n")


def test_the_same_record_gives_the_same_bytes():
    first = MADE.write().read_bytes()
    shuffled = replace(MADE, metrics=dict(reversed(MADE.metrics.items())))
    assert shuffled.write().read_bytes() == first


def test_the_order_of_a_recipes_keys_is_kept():
    """In ZeroI2V's `shifts` it says which heads look where."""
    shifts = {-1: 1, 1: 1, -2: 1}
    made = replace(MADE, recipe={**MADE.recipe, "method": {"shifts": shifts}})
    kept = record.read(made.write()).recipe["method"]["shifts"]
    assert [int(offset) for offset in kept] == list(shifts)


def test_a_kill_while_writing_leaves_the_old_record(results, monkeypatch):
    MADE.write()

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        replace(MADE, metrics={"top1": 0.1}).write()
    assert record.read(record.path(NAME)) == MADE
    assert [file.name for file in record.path(NAME).parent.iterdir()] == ["seed0.json"]


def test_a_curve_may_have_holes_but_a_result_may_not():
    nan = float("nan")
    holes = replace(MADE, train={"curve": [{"epoch": 0, "loss": nan}]}).write()
    assert record.read(holes).train["curve"][0]["loss"] is None
    with pytest.raises(UserError, match=r"metrics\.top1 is nan"):
        replace(MADE, metrics={"top1": nan}).write()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a record"),
        ("{", "not a record"),
        ("[]", "no keys"),
        ("{}", "cost, data, environment, metrics, name, recipe, train missing"),
        (json.dumps({**asdict(MADE), "extra": 1}), "unknown extra"),
        (json.dumps({**asdict(MADE), "cost": [1]}), "cost is not a dict"),
        (json.dumps({**asdict(MADE), "metrics": {"top1": 75.0}}), "not between 0 and 1"),
        (json.dumps({**asdict(MADE), "metrics": {"top1": "0.5"}}), "'0.5', not a number"),
        (json.dumps({**asdict(MADE), "cost": {}}), r"cost\.trained_parameters is None"),
    ],
)
def test_what_is_not_a_record_is_told_with_its_file(results, text, problem):
    file = record.path(NAME)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(
        UserError, match=rf"seed0\.json: not a record: .*{problem}|{problem}"
    ) as caught:
        record.read(file)
    assert str(file) in str(caught.value)


def test_a_missing_record_is_told():
    with pytest.raises(UserError, match=r"no record .*seed0\.json"):
        record.read(record.path(NAME))


def test_broken_and_copied_records_are_told_and_left_out(results, capsys):
    file = MADE.write()
    file.with_name("seed1.json").write_text("{")
    file.with_name("seed2.json").write_text(file.read_text())  # a seed that never ran
    assert record.records() == [MADE]
    told = capsys.readouterr().err
    assert "seed1.json" in told and "seed2.json: is a copy of" in told and "seed0.json:" not in told


def test_scratch_is_read_only_when_asked_for(results):
    MADE.write()
    scratch = replace(MADE, name=f"scratch/{NAME}")
    scratch.write()
    assert record.records() == [MADE]
    assert record.records(results / "scratch") == [scratch]
    assert record.records(results / "nowhere") == []


def git(root, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    for file in ("benchmark/a.py", "recipes/b.yaml", "results/c.json", "constraints.txt"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("1")
    git(tmp_path, "init", "-q", root)
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "all")
    return root


def test_committed_code_is_clean_whatever_the_results_are(repository):
    commit, dirty = code_state(repository)
    assert len(commit) == 40 and not dirty
    (repository / "results/c.json").write_text("2")
    (repository / "notes.txt").write_text("2")
    assert code_state(repository) == (commit, False)


@pytest.mark.parametrize("file", ["benchmark/a.py", "recipes/new.yaml", "constraints.txt"])
def test_changed_and_new_code_is_dirty(repository, file):
    clean, _ = code_state(repository)
    (repository / file).write_text("2")
    assert code_state(repository) == (clean, True)


def test_code_without_a_repository_of_its_own_is_unknown_and_dirty(repository, tmp_path):
    assert code_state(repository / "benchmark") == ("unknown", True)
    assert code_state(tmp_path) == ("unknown", True)
    git(tmp_path, "init", "-q", "empty")
    assert code_state(tmp_path / "empty") == ("unknown", True)  # no commit yet
