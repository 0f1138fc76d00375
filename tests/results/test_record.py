"""A record is written whole or not at all, and what is not one is told and left out."""

import functools
import json
import os
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from made_record import MADE, NAME, made_record
from places import FIXTURES

from benchmark.errors import UserError
from benchmark.recipes import tuned
from benchmark.results import record
from benchmark.results.schema import Epoch
from benchmark.training.provenance import code_state
from datamodules import files

COMMITTED = record.files(files.ROOT / "results" / "fair")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_a_record_survives_the_round_trip(results):
    assert MADE.write() == results / f"{NAME}.json" == record.path(NAME)
    assert record.read(record.path(NAME)) == MADE
    assert record.path(NAME).read_text().endswith("}\n")


def test_a_record_says_its_version_first_and_keeps_its_keys():
    found = json.loads(MADE.write().read_text())
    assert next(iter(found)) == "version" and found.pop("version") == record.VERSION
    assert found == json.loads(json.dumps(asdict(MADE)))
    for section in found.keys() - {"name", "recipe"}:
        assert list(found[section]) == sorted(found[section])


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
        made_record(metrics={"top1": 0.1}).write()
    assert record.read(record.path(NAME)) == MADE
    assert [file.name for file in record.path(NAME).parent.iterdir()] == ["seed0.json"]


def test_a_curve_may_have_holes_but_a_result_may_not():
    nan = float("nan")
    holes = made_record(train={"curve": (Epoch(epoch=0, loss=nan),)}).write()
    assert record.read(holes).train.curve[0].loss is None
    for key in ("top1", "top5"):
        with pytest.raises(UserError, match=rf"metrics\.{key} is nan"):
            made_record(metrics={key: nan}).write()


def sections(file):
    """Return what a file holds and what is read of it, both as plain data."""
    return json.loads(file.read_text()), json.loads(json.dumps(asdict(record.read(file))))


@pytest.mark.slow
@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: "/".join(file.parts[-5:]))
def test_the_committed_records_are_read_whole(file):
    """What they hold is held, key by key, and what they lack is None."""
    found, plain = sections(file)
    assert found.pop("version") <= record.VERSION and plain.keys() == found.keys()
    for section in plain.keys() - {"name"}:
        lacking = plain[section].keys() - found[section].keys()
        assert plain[section] == found[section] | dict.fromkeys(lacking)


def test_a_record_from_before_there_were_versions_is_read_whole():
    found, plain = sections(FIXTURES / "reference" / "record_without_version.json")
    assert "version" not in found and plain.keys() == found.keys()
    for section in plain.keys() - {"name", "recipe", "train"}:
        lacking = plain[section].keys() - found[section].keys()
        assert plain[section] == found[section] | dict.fromkeys(lacking)
    curve = [each | {"val_top1": None} for each in found["train"]["curve"]]
    assert plain["train"] == found["train"] | {"curve": curve}


def test_a_record_of_the_version_before_lacks_what_came_later():
    came = {"device_seconds", "inference_clips_per_second", "saved_for_backward_bytes"}
    file = made_record(cost=dict.fromkeys(came, 1)).write()
    found = json.loads(file.read_text())
    assert found["version"] == record.VERSION and found["cost"].keys() >= came
    found["version"] = 1
    found["cost"] = {key: value for key, value in found["cost"].items() if key not in came}
    file.write_text(json.dumps(found))
    assert record.read(file) == MADE


def test_there_are_committed_records():
    assert len(COMMITTED) >= 80


def changed(key, value=...):
    """Return the text of a record in which a dotted key has another value, or is not there."""
    found = {"version": record.VERSION, **json.loads(json.dumps(asdict(MADE)))}
    *sections, last = key.split(".")
    section = functools.reduce(lambda each, name: each[name], sections, found)
    section[last] = value
    if value is ...:
        del section[last]
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "it is [], not keys with values"),
        ("{}", "cost, data, environment, metrics, name, recipe, train missing"),
        ('{"version": "1"}', "version is '1', not a count"),
        (changed("extra", 1), "extra unknown"),
        (changed("cost.extra", 1), "cost.extra unknown"),
        (changed("cost.views"), "cost.views missing"),
        (changed("environment.dirty"), "environment.dirty missing"),
        (changed("data.splits.test"), "data.splits.test missing"),
        (changed("data.splits.test.sha256"), "data.splits.test.sha256 missing"),
        (changed("cost", [1]), "cost is [1], not keys with values"),
        (changed("cost.views", 1.5), "cost.views is 1.5, not a count"),
        (changed("cost.views", True), "cost.views is True, not a count"),
        (changed("cost.merged", 1), "cost.merged is 1, not true or false"),
        (changed("cost.trained_parameters", None), "cost.trained_parameters is None, not a count"),
        (changed("cost.train_seconds", float("inf")), "cost.train_seconds is inf, not a number"),
        (changed("metrics.top1", 75.0), "metrics.top1 is 75.0, not between 0 and 1"),
        (changed("metrics.top1", "0.5"), "metrics.top1 is '0.5', not a number"),
        (changed("metrics.merged_top1", -1), "metrics.merged_top1 is -1, not between 0 and 1"),
        (changed("metrics.split", "holdout"), "data.splits.holdout missing"),
        (changed("metrics.videos", 10**400), "not a count"),
        (changed("metrics.split", "train"), "metrics.split is 'train', not one of test, holdout"),
        (changed("data.classes", "ab"), "data.classes is 'ab', not a list"),
        (changed("data.classes", ["a", 1]), "data.classes[1] is 1, not a text"),
        (changed("train.curve", [{"loss": 1}]), "train.curve[0].epoch missing"),
        (changed("name", "digits/aim"), "'digits/aim' is no run's name"),
        (changed("name", NAME.removesuffix("/seed0")), "is no run's name"),
        (changed("name", f"/{NAME}"), "is no run's name"),
    ],
)
def test_what_is_not_a_record_is_told_with_its_file_and_key(results, text, problem):
    file = record.path(NAME)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        record.read(file)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}: not a record: ") and problem in line


def test_a_newer_version_is_told_as_such(results):
    file = MADE.write()
    file.write_text(changed("version", record.VERSION + 1))
    with pytest.raises(UserError, match=rf"seed0\.json: is of version {record.VERSION + 1}, newer"):
        record.read(file)


def test_what_is_no_record_is_not_written(results):
    with pytest.raises(UserError, match=r"is no run's name"):
        replace(MADE, name="aim").write()
    assert not results.exists()


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


def test_two_records_of_a_run_are_no_two_seeds(results, tmp_path, capsys):
    file = MADE.write()
    for machine in ("a", "b"):
        shutil.copytree(results, tmp_path / "collected" / machine)
    assert record.records(tmp_path / "collected") == [MADE]
    told = capsys.readouterr().err
    assert f"b/{file.relative_to(results)}: is another record of {NAME}" in told


def test_records_on_another_disk_are_found_behind_a_link(results, tmp_path, capsys):
    file = MADE.write()
    (results / "quick").rename(tmp_path / "disk")
    (results / "quick").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(results)  # which has no end
    assert record.files() == [file] and record.records() == [MADE]


def test_a_folder_is_the_same_however_it_is_typed(results, monkeypatch):
    file = MADE.write()
    monkeypatch.chdir(results / "quick" / "digits_motion")
    around = Path("..") / ".." / "quick"
    assert record.records(around) == [MADE]
    assert record.files_of(f"{around}/digits_motion/vit_digits/aim/seed0.json") == [file]
    monkeypatch.setenv("RESULTS", "../results")
    found = files.folder_from_environment("RESULTS", results)
    assert found == results / "quick" / "results"


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


def test_what_tuning_writes_is_no_code_and_what_only_looks_so_is(repository):
    commit, _ = code_state(repository)
    file = repository / "recipes/protocols/fair/d/b/m.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"{tuned.HEADING}by a test\noptim: {{lr: 1}}\n")
    assert code_state(repository) == (commit, False)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "tuned")
    file.write_text(f"{tuned.HEADING}by a test\noptim: {{lr: 2}}\n")
    assert not code_state(repository)[1]
    file.write_text("optim: {lr: 2}\n")  # by hand
    assert code_state(repository)[1]
    file.unlink()
    assert code_state(repository)[1]


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
