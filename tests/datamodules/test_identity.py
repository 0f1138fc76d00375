"""Which data something was made of: what is told apart, what is not, and how it is said."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from datamodules.dataset_info import DatasetInfo, hold_out
from datamodules.datasets.digits_motion import digits_motion
from datamodules.datasets.file_list import file_list
from datamodules.datasets.folder import folder
from datamodules.identity import DataIdentity, ListedVideos, difference, identify

Change = Callable[[Path], object]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder with two videos of each of two classes, of four bytes each."""
    root = tmp_path / "own"
    for split in ("train", "test"):
        for label in ("ape", "zebra"):
            for name in ("a.mp4", "b.mp4"):
                file = root / split / label / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("four")
    return root


def change(data: DatasetInfo, other: DatasetInfo) -> str | None:
    return difference(identify(data), identify(other))


def test_the_same_videos_at_another_place_are_the_same_data(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own, tmp_path / "elsewhere" / "deep")
    assert change(folder(root=own), folder(root=tmp_path / "elsewhere" / "deep")) is None


def test_few_shots_and_a_holdout_leave_the_data_what_it_is(own: Path) -> None:
    whole = folder(root=own)
    assert change(whole, folder(root=own, shots=1, shots_seed=3)) is None
    assert change(whole, hold_out(folder(root=own), 0.5, seed=1)) is None
    assert change(whole, replace(whole, flip="never")) is None


@pytest.mark.slow
def test_a_holdout_that_a_dataset_ships_is_part_of_it(tmp_path: Path) -> None:
    data = digits_motion(root=tmp_path, train=8, holdout=8, test=8)
    assert identify(data).splits.keys() == {"train", "holdout", "test"}
    assert identify(hold_out(data, 0, seed=0)) == identify(hold_out(data, 0.5, seed=0))


def add_a_video(root: Path) -> None:
    (root / "train" / "zebra" / "c.mp4").touch()


def add_a_class(root: Path) -> None:
    shutil.copytree(root / "train" / "ape", root / "train" / "cow")


def rename_a_video(root: Path) -> None:
    (root / "test" / "ape" / "a.mp4").rename(root / "test" / "ape" / "c.mp4")


def move_a_video(root: Path) -> None:
    (root / "train" / "ape" / "a.mp4").rename(root / "train" / "zebra" / "c.mp4")


def encode_a_video_anew(root: Path) -> None:
    (root / "test" / "ape" / "a.mp4").write_text("five!")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (add_a_video, "5 train videos, 4 before (1 class has more or fewer: 'zebra': 3, was 2)"),
        (add_a_class, "3 classes, 2 before (1 new, such as 'cow'); 6 train videos, 4 before"),
        (rename_a_video, "other test videos, or in another order, 4 as before"),
        (
            move_a_video,
            "other train videos, or in another order, 4 as before "
            "(2 classes have more or fewer, such as 'ape': 1, was 2)",
        ),
        (encode_a_video_anew, "other files under the names of the 4 test videos"),
    ],
)
def test_a_change_in_a_folder_is_told(own: Path, what: Change, said: str) -> None:
    before = identify(folder(root=own))
    what(own)
    assert difference(before, identify(folder(root=own))) == said


def test_a_video_that_is_a_folder_of_frames_is_as_large_as_its_frames(own: Path) -> None:
    frames = own / "train" / "ape" / "c"
    frames.mkdir()
    (frames / "1.jpg").write_text("one")
    before = identify(folder(root=own))
    (frames / "2.jpg").write_text("two")
    assert "other files under" in str(difference(before, identify(folder(root=own))))


LIST = "train/ape/a.mp4,{}\ntrain/ape/b.mp4,{}\ntrain/zebra/a.mp4,{}\n"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ("ape", "zebra", "zebra"),
            "other labels of the same 3 train videos "
            "(2 classes have more or fewer, such as 'ape': 1, was 2)",
        ),
        (("ape", "zebra", "ape"), "other labels of the same 3 train videos"),
    ],
)
def test_other_labels_in_a_list_are_told(own: Path, labels: tuple[str, ...], said: str) -> None:
    (own / "train.csv").write_text(LIST.format("ape", "ape", "zebra"))
    (own / "other.csv").write_text(LIST.format(*labels))
    data = file_list(root=own, test="train.csv")
    assert change(data, file_list(root=own, train="other.csv", test="train.csv")) == said


def test_classes_in_another_order_are_told_and_nothing_that_follows_from_it(own: Path) -> None:
    (own / "train.csv").write_text(LIST.format("ape", "ape", "zebra"))
    for name, order in (("one", "ape\nzebra\ncow\n"), ("other", "zebra\nape\ncow\n")):
        (own / name).write_text(order)
    data, other = (file_list(root=own, test="train.csv", classes=c) for c in ("one", "other"))
    assert change(data, other) == "2 classes have other numbers, such as 'zebra': 0, was 1"


def test_an_identity_survives_json(own: Path) -> None:
    found = identify(folder(root=own))
    assert DataIdentity.of(json.loads(json.dumps(asdict(found)))) == found


def test_what_an_older_record_does_not_know_accuses_nobody(own: Path) -> None:
    found = identify(folder(root=own))
    test = ListedVideos(videos=4, sha256=found.splits["test"].sha256)
    assert difference(DataIdentity(classes=found.classes, splits={"test": test}), found) is None
    assert difference(DataIdentity(classes=found.classes, splits={}), found) is None
    other = DataIdentity(classes=found.classes, splits={"test": replace(test, videos=3)})
    assert difference(other, found) == "4 test videos, 3 before"
