"""Two rows head to head: paired by video, classes and confusions counted; else refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_record import made_record

from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.leaderboard.comparison import Comparison, compare, text
from benchmark.leaderboard.pictures.comparison import draw
from benchmark.leaderboard.statistics.differences import sign_flip_test
from benchmark.results import answers, record, splits
from benchmark.results.answers import Answers
from benchmark.results.schema import SplitChecksum
from datamodules.dataset_info import Split

TABLE = "quick/digits_motion/vit_digits"
CLASSES = ("a", "<b>", "c$d$")
TESTED = Split.of([f"{i}.mp4" for i in range(30)], np.arange(30) % 3)
OTHER = Split.of([f"{i}.avi" for i in range(30)], np.arange(30) % 3)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)


def answered(wrong: int, seed: int = 0) -> np.ndarray:
    """Return (30,) classes, of which `wrong` of class 1 are taken for class 2."""
    found = TESTED.labels.copy()
    found[np.flatnonzero(found == 1)[:wrong]] = 2
    if seed:
        found[3 * seed] = 1  # of class 0
    return found


def made(method: str, wrong: int, seed: int = 0, tested: Split = TESTED) -> Path:
    """Write a record with its answers, split and scores."""
    right = answered(wrong, seed) == tested.labels
    found = made_record(
        f"{TABLE}/{method}/seed{seed}",
        metrics={"top1": float(right.mean()), "videos": 30},
        data={
            "classes": CLASSES,
            "splits": {"test": SplitChecksum(videos=30, sha256=tested.sha256())},
        },
    )
    file = found.write()
    answers.write(file, Answers(right))
    splits.write(file, tested)
    np.savez(file.with_suffix(".npz"), scores=np.eye(3)[answered(wrong, seed)], label=tested.labels)
    return file


def rows(seeds: int = 3) -> Comparison:
    sides = [[made(name, n, seed) for seed in range(seeds)] for name, n in (("x", 2), ("y", 7))]
    return compare(*sides)


def test_a_row_gains_what_it_has_right_more_often() -> None:
    found = rows()
    assert found.names == (f"{TABLE}/x", f"{TABLE}/y")
    assert found.difference.value == pytest.approx(5 / 30) and found.difference.seeds_known
    assert found.difference.low < 5 / 30 < found.difference.high
    assert sum(each.gain * each.videos for each in found.gains) == pytest.approx(5)
    assert [(each.name, round(each.gain, 9)) for each in found.gains] == [
        ("<b>", 0.5), ("a", 0), ("c$d$", 0),
    ]  # fmt: skip
    assert found.p is None


def test_swapped_sides_swap_the_sign() -> None:
    one, other = [made("x", 2)], [made("y", 7)]
    there, back = compare(one, other), compare(other, one)
    assert (there.difference.value, there.difference.low, there.difference.high) == pytest.approx(
        (-back.difference.value, -back.difference.high, -back.difference.low)
    )
    assert there.p == back.p and {each.gain for each in back.gains} == {-0.5, 0.0}


def test_two_runs_are_tested_exactly() -> None:
    found = compare([made("x", 2)], [made("y", 7)])
    assert found.p == pytest.approx(2 * 0.5**5)  # McNemar's: five of five videos one way
    right = [answered(n) == TESTED.labels for n in (2, 7)]
    assert found.p == sign_flip_test(right[0], right[1], TESTED.clusters)
    assert not found.difference.seeds_known and "p = 0.0625" in text(found)


def test_the_confusion_that_differs_most_is_counted() -> None:
    confusion = rows().confusion
    assert confusion and (confusion.label, confusion.answer) == ("<b>", "c$d$")
    assert confusion.counts == pytest.approx((2, 7)) and confusion.videos == 10


def test_without_scores_there_are_no_confusions_and_it_is_said() -> None:
    one, other = made("x", 2), made("y", 7)
    other.with_suffix(".npz").unlink()
    found = compare([one], [other])
    assert found.confusion is None
    assert f"confusions: left out, no scores {other.with_suffix('.npz')}" in text(found)


def test_equal_answers_differ_in_nothing() -> None:
    found = compare([made("x", 2)], [made("y", 2)])
    assert found.difference.value == 0 and found.p == 1 and found.confusion is None
    assert "confusions: both have the same" in text(found)


def test_what_cannot_be_compared_is_refused() -> None:
    one, other, elsewhere = made("x", 2), made("y", 7), made("z", 2, tested=OTHER)
    with pytest.raises(UserError, match=r"x/seed0 and .*z/seed0 were not tested on the same"):
        compare([one], [elsewhere])
    with pytest.raises(UserError, match="compared with itself"):
        compare([one], [one])
    with pytest.raises(UserError, match=r"x/seed0\.json is compared with itself"):
        compare([one, made("x", 3, seed=1)], [one])
    with pytest.raises(UserError, match=r"several records of a run, such as .*x/seed0"):
        compare([one, one], [other])
    with pytest.raises(UserError, match=r"x and .*y are two rows"):
        compare([one, other], [elsewhere])
    answers.path(other).unlink()
    other.with_suffix(".npz").unlink()
    with pytest.raises(UserError, match=r"^no answers .*seed0\.answers\.npz beside the record"):
        compare([one], [other])


def test_a_table_of_another_folder_rests_on_the_answers_in_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, wrong in (("theirs", 9), ("mine", 0)):
        monkeypatch.setattr(record, "RESULTS", tmp_path / folder)
        made("x", wrong)
    assert main(["leaderboard", str(tmp_path / "theirs"), "--as", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)[TABLE]
    assert row["top1"] == 0.7 and row["top1_low"] < 0.7 < row["top1_high"] < 1


@pytest.mark.slow
def test_names_stay_text_in_the_picture_which_is_the_same_every_time() -> None:
    found = rows()
    svg = draw(found)
    assert svg == draw(found) and "<b>" not in svg.replace("<!-- <b> -->", "")


@pytest.mark.slow
def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made("x", 2)
    made("y", 7)
    picture = tmp_path / "difference.svg"
    assert main(["compare", str(file), f"{TABLE}/y", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "A - B, top-1: +16.7 points, 95 % interval " in out and "tunable" in out
    assert picture.read_text().startswith("<?xml")
    assert main(["compare", str(file), f"{TABLE}/y", "--picture", "x.png"]) == 2
    assert main(["compare", str(file), f"{TABLE}/none"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[0].endswith("what is drawn is SVG; name a .svg file")
    assert err[1] == f"error: no records of '{TABLE}/none'"
