"""Lists of videos are small, checksums the same everywhere, holdouts fair and reproducible."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from datamodules.dataset_info import DatasetInfo, Split, hold_out
from datamodules.errors import UserError


def data(counts: tuple[int, ...] = (10, 20, 40), **more: Split) -> DatasetInfo:
    labels = np.random.default_rng(0).permutation(np.repeat(range(len(counts)), counts))
    train = Split.of([f"{i}/ä b.mp4" for i in range(len(labels))], labels)
    test = Split.of(["test.mp4"], [0])
    return DatasetInfo("data", ("a", "b", "c"), {"train": train, "test": test, **more}, flip="ok")


def test_a_split_gives_back_what_it_was_made_of():
    split = Split.of(["a/b.mp4", "", "ü.mp4"], [2, 0, 1], "/videos")
    assert len(split) == 3
    assert [split.path(i) for i in (0, 2)] == ["/videos/a/b.mp4", "/videos/ü.mp4"]
    assert list(split.names()) == ["a/b.mp4", "", "ü.mp4"]
    assert [split.label(i) for i in range(3)] == [2, 0, 1]
    chosen = split.select([2, 2, 0])
    assert list(chosen.names()) == ["ü.mp4", "ü.mp4", "a/b.mp4"]
    assert chosen.labels.tolist() == [1, 1, 2] and chosen.text is split.text
    assert len(split.select([])) == 0 and list(Split.of([], []).names()) == []
    with pytest.raises(ValueError, match="3 paths"):
        Split.of(["a", "b", "c"], [0, 1])


def test_parts_of_videos_stay_with_their_videos():
    split = Split.of(["a", "b", "c"], [0, 1, 2], segments=[(0, 1.5), (2, 3), (0.5, 9)])
    assert split.segment(2) == (0.5, 9.0) and split.segments.nbytes == 48
    assert [split.select([2, 0]).segment(i) for i in (0, 1)] == [(0.5, 9.0), (0.0, 1.5)]
    assert Split.of(["a"], [0]).segment(0) is None
    with pytest.raises(ValueError, match="segments of shape"):
        Split.of(["a", "b"], [0, 1], segments=[(0, 1)])


def test_a_checksum_speaks_of_parts_only_where_there_are_parts():
    whole = Split.of(["ü/a.mp4", "b.mp4"], [0, 1])
    text = "ü/a.mp4\0" + "0\n" + "b.mp4\0" + "1\n"  # as all committed records have it
    assert whole.sha256() == hashlib.sha256(text.encode()).hexdigest()
    parts = [
        Split.of(["ü/a.mp4", "b.mp4"], [0, 1], segments=segments)
        for segments in ([(0, 1), (0, 2)], [(0, 1), (0, 2.25)], [(0, 2), (0, 1)])
    ]
    assert len({split.sha256() for split in [whole, *parts]}) == 4


def test_a_checksum_speaks_of_names_labels_and_order_and_not_of_the_machine():
    one = Split.of(["a", "bc"], [0, 1], "/here")
    assert one.sha256() == Split.of(["a", "bc"], [0, 1], "/there").sha256()
    assert one.select([0, 1]).sha256() == one.sha256()
    others = [
        Split.of(["a", "bd"], [0, 1]),
        Split.of(["ab", "c"], [0, 1]),
        Split.of(["a", "bc"], [0, 0]),
        one.select([1, 0]),
        one.select([0]),
    ]
    assert len({each.sha256() for each in [one, *others]}) == 6


def test_a_holdout_takes_the_parts_of_videos_along():
    whole = data()
    names = list(whole.splits["train"].names())
    parts = [(i, i + 1) for i in range(len(names))]
    train = Split.of(names, whole.splits["train"].labels, segments=parts)
    carved = hold_out(replace(whole, splits={**whole.splits, "train": train}), 0.25, seed=0)
    held = carved.splits["holdout"]
    assert [held.segment(i)[0] for i in range(len(held))] == list(carved.held_out)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_holdout_takes_its_share_of_every_class(share):
    whole = data()
    carved = hold_out(whole, share, seed=0)
    train, held = carved.splits["train"], carved.splits["holdout"]
    assert np.bincount(held.labels).tolist() == [round(share * n) for n in (10, 20, 40)]
    assert sorted([*train.names(), *held.names()]) == sorted(whole.splits["train"].names())
    assert list(held.names()) == [whole.splits["train"].name(i) for i in carved.held_out]
    assert carved.splits["test"] is whole.splits["test"]


def test_a_holdout_is_a_function_of_the_seed():
    held = [hold_out(data(), 0.2, seed).held_out for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_a_holdout_that_the_dataset_ships_is_used_as_it_is():
    own = Split.of(["own.mp4"], [1])
    carved = hold_out(data(holdout=own), 0.2, seed=0)
    assert carved.splits["holdout"] is own and carved.held_out is None
    assert len(carved.splits["train"]) == 70
    assert "holdout" not in hold_out(data(holdout=own), 0, seed=0).splits


@pytest.mark.parametrize("share", [-0.1, 1.0, 0.001, 0.99])
def test_a_holdout_that_takes_nothing_or_everything_is_a_mistake(share):
    with pytest.raises(UserError, match=r"train\.holdout"):
        hold_out(data(), share, seed=0)
