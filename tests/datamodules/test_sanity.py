"""What makes no sense is refused before training, what is odd is counted and told."""

import os

import pytest

from datamodules.dataset_info import DatasetInfo, Split, hold_out
from datamodules.datasets.folder import folder
from datamodules.errors import UserError
from datamodules.sanity import demand_trainable, doubts, shared_files


def data(train, test, classes=("a", "b"), segments=None, **more):
    """Return a dataset of (path, label) per split."""
    splits = {
        name: Split.of(*map(list, zip(*rows, strict=True)), "/v", (segments or {}).get(name))
        for name, rows in {"train": train, "test": test}.items()
    }
    return DatasetInfo("set", classes, splits, flip="ok", **more)


FOUR = [(f"{i}.mp4", i % 2) for i in range(4)]
OTHERS = [("x.mp4", 0), ("y.mp4", 1)]


def test_a_dataset_that_is_fine_has_no_doubts():
    fine = data(FOUR, OTHERS)
    demand_trainable(fine, batch=4)
    assert doubts(fine) == [] and shared_files(fine) == []


@pytest.mark.parametrize("classes", [("a",), ("a", "b")])
def test_one_class_is_nothing_to_tell_apart(classes):
    with pytest.raises(UserError, match="set: all training videos are of one class, 'a'"):
        demand_trainable(data([("0.mp4", 0), ("1.mp4", 0)], OTHERS[:1], classes), batch=1)


def test_fewer_videos_than_a_batch_make_no_step():
    with pytest.raises(UserError, match=r"train\.batch=5 is more than the 4 .* train\.batch=4 or"):
        demand_trainable(data(FOUR, OTHERS), batch=5)


def test_one_video_per_class_is_told_unless_it_was_asked_for():
    said = ["set: there is one training video per class"]
    assert doubts(data(FOUR[:2], OTHERS)) == said
    assert doubts(data(FOUR[:2], OTHERS, chosen=(0, 1))) == []


def test_classes_without_a_training_video_are_told():
    (said,) = doubts(data(FOUR, OTHERS, ("a", "b", "c", "d")))
    assert said == "set: 2 of 4 classes have no training video, such as 'c'"


def test_what_is_odd_in_lists_is_told():
    assert doubts(data(FOUR, OTHERS, warnings=("a.csv:3: x again",))) == ["set: a.csv:3: x again"]


def test_videos_of_train_and_test_are_counted():
    both = data(FOUR, [*OTHERS, FOUR[1], FOUR[3]])
    assert shared_files(both) == [2, 3]
    (said,) = doubts(both)
    assert said == "set: 2 of 4 test videos are training videos, too, such as 1.mp4"
    held = hold_out(data([*FOUR, *FOUR], OTHERS), 0.5, seed=0)
    assert len(shared_files(held)) > 0  # of the holdout: a list that repeats itself


def test_another_part_of_a_video_is_another_video():
    parts = {"train": [[0.0, 1.0], [1.0, 2.0]], "test": [[1.0, 2.0], [1.0, 2.0]]}
    rows = [("0.mp4", 0), ("0.mp4", 1)]
    assert shared_files(data(rows, rows, segments=parts)) == [0, 1]
    parts["train"] = [[0.0, 1.0], [2.0, 3.0]]
    assert shared_files(data(rows, rows, segments=parts)) == []


@pytest.mark.parametrize("linked", [False, True])
def test_a_test_split_that_is_the_training_split_is_seen_through_a_link(linked, tmp_path):
    for video in ("train/a/0.mp4", "train/b/0.mp4", "other/a/0.mp4", "other/b/0.mp4"):
        (tmp_path / video).parent.mkdir(parents=True)
        (tmp_path / video).touch()
    assert shared_files(folder(root=tmp_path, test="other")) == []
    if linked:
        os.symlink(tmp_path / "train", tmp_path / "test")
    both = folder(root=tmp_path, test="test" if linked else "train")
    assert shared_files(both) == [0, 1]
