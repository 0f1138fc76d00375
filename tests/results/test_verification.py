"""A record is fine where its answers and videos bear it out; what they do not is told by key."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_record import MADE, NAME, made_record

from benchmark.cli.parser import main
from benchmark.results import answers, record, splits, verification
from benchmark.results.answers import Answers, metrics_of
from benchmark.results.schema import SplitChecksum
from benchmark.results.verification import verify
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.files import ROOT

COMMITTED = ROOT / "results" / "fair"
CLASSES = tuple("abcdef")
TESTED = Split.of([f"{i}.mp4" for i in range(12)], np.arange(12) % 6)
RIGHT = Answers(np.arange(12) % 3 == 0, np.arange(12) % 4 > 0, np.arange(12) % 2 == 0)


def made(seed: int = 0, right: Answers = RIGHT) -> Path:
    """Write a record that is fine, with its answers and split."""
    found = metrics_of(right, TESTED)
    data: dict[str, Any] = {
        "classes": CLASSES,
        "classes_sha256": hashlib.sha256("\n".join(CLASSES).encode()).hexdigest(),
        "splits": {"test": SplitChecksum(videos=12, sha256=TESTED.sha256())},
    }
    own = made_record(
        NAME.replace("seed0", f"seed{seed}"),
        {"seed": seed},
        metrics={**found, "chance": 1 / 6},
        data=data,
        environment={"weights": "a" * 64},
    )
    file = own.write()
    answers.write(file, right)
    splits.write(file, TESTED)
    return file


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)


def edit(file: Path, key: str, value: object) -> None:
    found = json.loads(file.read_text())
    *sections, last = key.split(".")
    place = found
    for each in sections:
        place = place[each]
    place[last] = value
    file.write_text(json.dumps(found))


def test_what_follows_from_its_answers_is_fine() -> None:
    (found,) = verify([made()])
    assert not found.problems
    assert {"top1", "top5", "mean_class", "merged_top1", "videos"} <= {*found.checked}
    assert found.unchecked == ("clip_top1",)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("metrics.top1", 0.5, "metrics.top1 is 0.5, the answers give 0.3333"),
        ("metrics.top1", 1 / 3 + 1e-15, "metrics.top1 is 0.3333"),
        ("metrics.top5", 0.9, "metrics.top5 is 0.9"),
        ("metrics.top5", None, "metrics.top5 is missing, the answers give 0.75"),
        ("metrics.mean_class", 0.34, "metrics.mean_class is 0.34"),
        ("metrics.merged_top1", 0.6, "metrics.merged_top1 is 0.6"),
        ("metrics.chance", 0.1, "metrics.chance is 0.1, the labels give 0.1666"),
        ("metrics.videos", 13, "metrics.videos is 13"),
        ("metrics.split", "holdout", "data.splits.holdout missing"),
        ("metrics.top1", 1.5, "metrics.top1 is 1.5, not between 0 and 1"),
        ("data.splits.test.videos", 13, "data.splits.test.videos is 13, the split has 12"),
        ("data.splits.test.sha256", "b" * 64, "no split"),
        ("data.splits.test.sha256", "b", "data.splits.test.sha256 is 'b', not the 64 hex"),
        ("data.classes", list("abcdeg"), "data.classes_sha256 is"),
        ("data.classes", list("abc"), "data.classes are 3, the split has labels up to 5"),
        ("environment.commit", "unknown", "environment.commit is 'unknown'"),
        ("environment.weights", "z", "environment.weights is 'z', not the 64 hex digits"),
        ("name", NAME.replace("aim", "full"), "which is not where it lies"),
        ("recipe.seed", 3, "recipe.seed is 3, not 0"),
    ],
)
def test_an_edited_record_is_told_with_the_key(key: str, value: object, told: str) -> None:
    file = made()
    edit(file, key, value)
    (found,) = verify([file])
    assert [line for line in found.problems if told in line], found.problems


@pytest.mark.parametrize("options", ["digits", [1], {"name": ["a"]}, {"name": "folder", "root": 5}])
def test_a_recipe_whose_data_is_none_is_no_traceback(options: object) -> None:
    file = made()
    edit(file, "recipe.data", options)
    (found,) = verify([file])
    assert found.record is not None and not found.problems


def test_edited_answers_are_told() -> None:
    file = made()
    answers.write(file, replace(RIGHT, top1=np.ones(12, bool)))
    (found,) = verify([file])
    assert any("metrics.top1 is" in line and "give 1.0" in line for line in found.problems)


def test_another_split_in_the_place_of_the_tested_one_is_told() -> None:
    file = made()
    other = Split.of([f"{i}.mp4" for i in range(12)], np.zeros(12, int))
    place = splits.path(file, TESTED.sha256())
    place.unlink()
    splits.write(file, other)
    splits.path(file, other.sha256()).rename(place)
    splits._read.cache_clear()
    (found,) = verify([file])
    assert any("not the split whose checksum is" in line for line in found.problems)
    splits._read.cache_clear()


def test_edited_clusters_are_told_where_the_dataset_is_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = replace(TESTED, clusters=np.arange(12) // 3)
    here = DatasetInfo("ucf101", CLASSES, {"test": groups}, flip="ok")
    monkeypatch.setattr(verification.lookup, "call", lambda package, options: here)
    file = made()  # each video its own cluster: narrower intervals
    edit(file, "recipe.data", {"name": "ucf101", "root": "here"})
    (line,) = verify([file])[0].problems
    assert "which videos share a source is not what digits_motion says" in line
    edit(file, "recipe.data", {"name": "digits_motion"})  # would have to be drawn
    assert not verify([file])[0].problems
    edit(file, "recipe.data", {"name": "ucf101", "root": "nowhere"})
    monkeypatch.undo()
    monkeypatch.setattr(record, "RESULTS", file.parents[4])
    assert not verify([file])[0].problems  # it is not here: nobody can tell


def test_missing_answers_are_told() -> None:
    file = made()
    answers.path(file).unlink()
    (found,) = verify([file])
    assert found.problems[0].startswith("no answers ")


def test_scores_of_other_labels_are_told() -> None:
    file = made()
    scores = np.eye(6)[TESTED.labels]
    np.savez(file.with_suffix(".npz"), scores=scores, label=TESTED.labels)
    assert not verify([file])[0].problems
    np.savez(file.with_suffix(".npz"), scores=scores, label=np.zeros(12, int))
    assert verify([file])[0].problems == ("seed0.npz: its labels are not those of the split",)


def test_other_weights_than_those_of_the_other_runs_are_told() -> None:
    files = [made(seed) for seed in range(3)]
    edit(files[1], "environment.weights", "b" * 64)
    first, second, third = verify(files)
    assert not first.problems and not third.problems
    assert second.problems == (
        "environment.weights is bbbbbbbbbb..., that of 2 others of vit_digits is aaaaaaaaaa...",
    )
    for file in files:  # drawn from the seed
        edit(file, "recipe.backbone", {"weights": "random"})
    assert not any(each.problems for each in verify(files))


@pytest.mark.slow
def test_the_committed_records_are_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(COMMITTED)]) == 0
    assert capsys.readouterr().out.endswith("\n494 of 494 records are fine\n")


def test_an_edited_top_1_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for each in COMMITTED.glob("splits/*"):
        (tmp_path / "fair" / "splits").mkdir(parents=True, exist_ok=True)
        shutil.copy(each, tmp_path / "fair" / "splits")
    row = "digits_motion/vit_digits/aim"
    shutil.copytree(COMMITTED / row, tmp_path / "fair" / row)
    file = tmp_path / "fair" / row / "seed1.json"
    edit(file, "metrics.top1", 0.999)
    assert main(["verify", f"fair/{row}"]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("\n4 of 5 records are fine\n")
    assert err.startswith(f"{file}: metrics.top1 is 0.999, ") and len(err.splitlines()) == 1


def test_what_is_no_record_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seed0.json").write_text(json.dumps({**asdict(MADE), "version": 1, "cost": {}}))
    assert main(["verify", str(tmp_path / "seed0.json")]) == 1
    assert ": not a record: cost." in capsys.readouterr().err
    assert main(["verify", "none/of/this/name"]) == 2
    assert "no records of 'none/of/this/name'" in capsys.readouterr().err
