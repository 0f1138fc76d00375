"""Another dataset under the same name is never taken for the one a record was made of."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_record import made_record
from make_datasets import ucf101
from places import set_places

from benchmark.cli.parser import main
from benchmark.leaderboard import board, pictures
from benchmark.recipes import compose, dataset, proportion
from benchmark.results import record
from benchmark.results.record import Record
from benchmark.runs.folder import CHECKPOINT
from benchmark.sweeps.jobs import Failure, Job
from benchmark.sweeps.launchers import local
from datamodules import files

RUN = "quick/folder/vit_digits/aim"
Videos = Callable[..., Path]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_places(monkeypatch, tmp_path)
    monkeypatch.setattr(pictures, "draw", lambda found: {})
    monkeypatch.setattr(board, "interactive_possible", lambda: False)
    monkeypatch.setattr(proportion, "of_data", lambda *given: [])  # which opens videos


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    """Return a function that writes a folder of videos, of which nothing is ever decoded here."""

    def write(name: str, *classes: str, each: int = 8) -> Path:
        for split in ("train", "test"):
            for label in classes or ("ape", "zebra"):
                (tmp_path / name / split / label).mkdir(parents=True)
                for number in range(each):
                    (tmp_path / name / split / label / f"{number}.mp4").touch()
        return tmp_path / name

    return write


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the runs that were run here: each only leaves a record."""
    names: list[str] = []

    def run(jobs: list[Job], title: str = "") -> list[Failure]:
        for job in jobs:
            finish(job.base_name, *job.overrides)
            names.append(job.name)
        return []

    monkeypatch.setattr(local, "run", run)
    return names


def finish(name: str, *overrides: str, **sections: Any) -> Record:
    """Write the record that a run of this recipe, on the data as it is now, leaves."""
    recipe = compose.load(name, overrides)
    known = dataset.lister()(recipe.data)
    assert known is not None
    data = {"classes": known.classes, "listed": known.splits, **sections.pop("data", {})}
    return record.read(made_record(recipe.name, recipe, data=data, **sections).write())


def said(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = main([str(each) for each in argv])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.slow
def test_a_run_on_b_after_a_is_refused_in_one_line_that_says_what_is_other(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = videos("a"), videos("b", "ape", "cow", "zebra")
    assert said(capsys, "run", RUN, f"data.root={a}")[0] == 0
    code, out, err = said(capsys, "run", RUN, f"data.root={b}")
    assert (code, out, len(err.splitlines()), len(ran)) == (2, "", 1, 1)
    assert "is of other data: 3 classes, 2 before (1 new, such as 'cow')" in err
    assert "data.called=NAME gives this data a name of its own" in err and "--again" in err


def test_the_same_videos_moved_to_another_root_change_nothing(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a = videos("a")
    finish(RUN, f"data.root={a}")
    shutil.move(a, moved := a.with_name("moved"))
    code, out, _ = said(capsys, "run", RUN, f"data.root={moved}")
    assert code == 0 and out.startswith("nothing to do") and not ran
    assert said(capsys, "stale")[1] == "no record is stale\n"


@pytest.mark.slow
def test_videos_that_were_added_are_noticed(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a = videos("a")
    finish(RUN, f"data.root={a}")
    (a / "train" / "ape" / "new.mp4").touch()
    change = "17 train videos, 16 before (1 class has more or fewer: 'ape': 9, was 8)"
    assert change in said(capsys, "run", RUN, f"data.root={a}")[2]
    assert said(capsys, "stale")[1].splitlines() == [f"{RUN}/seed0", f"  data: {change}"]


@pytest.mark.slow
def test_a_name_of_its_own_gives_data_a_record_of_its_own(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = videos("a"), videos("b", "cow", "zebra")
    finish(RUN, f"data.root={a}")
    assert said(capsys, "run", RUN, f"data.root={b}", "data.called=mine")[0] == 0
    assert ran == ["quick/folder@mine/vit_digits/aim/seed0"]
    assert said(capsys, "run", ran[0], f"data.root={b}")[1].startswith("nothing to do")
    assert said(capsys, "stale")[1] == "no record is stale\n"
    page = (record.RESULTS / "quick" / "README.md").read_text()
    assert r"## folder@mine · vit\_digits" in page and ", other data" not in page


@pytest.mark.slow
def test_again_makes_the_record_of_other_data_again(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = videos("a"), videos("b", "cow", "zebra")
    finish(RUN, f"data.root={a}")
    assert said(capsys, "run", RUN, f"data.root={b}", "--again")[0] == 0
    assert record.read(record.path(ran[0])).data.classes == ("cow", "zebra")


def test_data_that_is_not_here_is_not_accused_and_said_not_to_be_compared(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a = videos("a")
    finish(RUN, f"data.root={a}")
    shutil.rmtree(a)
    code, out, _ = said(capsys, "run", RUN)
    assert code == 0 and f"its data cannot be compared with today's: no folder {a}" in out
    assert said(capsys, "stale")[1] == "no record is stale\n"


def test_seeds_of_a_and_of_b_are_never_one_row(
    videos: Videos, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = videos("a"), videos("b", "cow", "zebra")
    finish(f"{RUN}/seed0", f"data.root={a}", metrics={"top1": 1.0})
    finish(f"{RUN}/seed1", f"data.root={b}", metrics={"top1": 0.25})
    assert said(capsys, "leaderboard")[0] == 0
    page = (record.RESULTS / "quick" / "README.md").read_text()
    assert "±" not in page.partition("| --- |")[2] and page.count("| `aim`") == 2
    assert "Not the data of the first table" in page and "'cow'" in page


def test_a_copy_of_a_standard_dataset_with_fewer_videos_is_another_list(
    tmp_path: Path, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "quick/ucf101/vit_digits/aim"
    root = tmp_path / "ucf"
    root.mkdir()
    ucf101(root, 202, 101)
    where = (f"data.root={root}", "data.sizes=any")
    finish(name, *where)
    ucf101(root, 150, 101)
    code, _, err = said(capsys, "run", name, *where)
    assert code == 2 and "150 train videos, 202 before" in err and not ran


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes the sweep "mine" of two methods, on the folder that it gets."""
    recipes = tmp_path / "recipes"
    (recipes / "sweeps").mkdir(parents=True)
    for each in (files.ROOT / "recipes").iterdir():
        if each.name != "sweeps":
            (recipes / each.name).symlink_to(each)
    monkeypatch.setattr(compose, "RECIPES", recipes)

    def write(root: Path) -> None:
        axes = {"data": ["folder"], "backbone": ["vit_digits"], "method": ["aim", "full"]}
        said = {"protocol": "quick", **axes, "seed": [0], "overrides": [f"data.root={root}"]}
        (recipes / "sweeps" / "mine.yaml").write_text(json.dumps(said))

    return write


@pytest.mark.slow
def test_a_sweep_leaves_out_the_record_of_other_data_tells_it_and_does_the_rest(
    videos: Videos,
    ran: list[str],
    grid: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    finish(RUN, f"data.root={videos('a')}")
    grid(videos("b", "cow", "zebra"))
    code, out, _ = said(capsys, "sweep", "mine")
    assert code == 1 and ran == ["quick/folder/vit_digits/full/seed0"]
    (line,) = [line for line in out.splitlines() if line.startswith("left out")]
    assert f"its record is of other data: {RUN}/seed0: 2 classes, 2 before" in line
    assert "data.called=NAME" in line and "--again" in line
    assert "other data" in said(capsys, "status", "mine")[1]
    assert said(capsys, "sweep", "mine", "--again")[0] == 0 and ran[1:] == [f"{RUN}/seed0"]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}'])
def test_a_broken_record_is_told_and_made_again(
    text: str,
    videos: Videos,
    ran: list[str],
    grid: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    a = videos("a")
    grid(a)
    file = record.path(f"{RUN}/seed0")
    file.parent.mkdir(parents=True)
    for argv in (("run", RUN, f"data.root={a}"), ("sweep", "mine")):
        file.write_text(text)
        (place := files.RUNS / RUN / "seed0").mkdir(parents=True, exist_ok=True)
        (place / CHECKPOINT).touch()
        assert f"{files.display_path(file)}\n  not a record" in said(capsys, "stale")[1]
        code, out, err = said(capsys, *argv)
        assert code == 0 and f"{file}: not a record" in out + err and (place / CHECKPOINT).exists()
        assert record.read(file).name == f"{RUN}/seed0"


def test_a_record_of_a_newer_version_is_left_alone(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a = videos("a")
    file = finish(RUN, f"data.root={a}").write()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 99}))
    code, out, _ = said(capsys, "run", RUN, f"data.root={a}")
    assert code == 0 and "newer than this code" in out and not ran


def test_a_recipe_that_was_edited_since_is_told_by_run(
    videos: Videos, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a = videos("a")
    made = finish(RUN, f"data.root={a}")
    old = json.loads(json.dumps(made.recipe))
    old["optim"]["lr"] = 9.0
    replace(made, recipe=old).write()
    code, out, err = said(capsys, "run", RUN, f"data.root={a}")
    assert (code, out, len(err.splitlines())) == (2, "", 1) and not ran
    assert "is of another recipe: optim.lr: 9.0 -> " in err and "--again" in err


@pytest.mark.slow
def test_a_run_begun_again_and_interrupted_goes_on_when_it_is_typed_again(
    videos: Videos, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("run", RUN, f"data.root={videos('a')}", "--again")
    finish(*argv[1:3])
    checkpoint = files.RUNS / RUN / "seed0" / CHECKPOINT
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("of the first time")

    def interrupted(jobs: list[Job]) -> list[Failure]:
        assert not checkpoint.exists()
        checkpoint.write_text("half way")
        raise KeyboardInterrupt

    def whole(jobs: list[Job]) -> list[Failure]:
        assert checkpoint.read_text() == "half way"
        finish(*argv[1:3])
        return []

    monkeypatch.setattr(local, "run", interrupted)
    code, _, err = said(capsys, *argv)
    assert code == 130 and "type the same command to go on" in err
    monkeypatch.setattr(local, "run", whole)
    assert said(capsys, *argv)[0] == 0
    monkeypatch.setattr(local, "run", interrupted)  # once it is done, `--again` means again
    assert said(capsys, *argv)[0] == 130 and checkpoint.read_text() == "half way"


@pytest.mark.slow
def test_a_run_begun_again_that_fails_keeps_its_record(
    videos: Videos, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"data.root={videos('a')}"
    made = finish(RUN, where)
    monkeypatch.setattr(local, "run", lambda jobs: [Failure(jobs[0], "the loss is nan")])
    for _ in range(2):
        assert said(capsys, "run", RUN, where, "--again")[0] == 1
        assert record.read(record.path(made.name)) == made
