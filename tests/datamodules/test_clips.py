"""Which frames make a clip: in range, in order, spread as the samplings say, by table."""

from itertools import product

import numpy as np
import pytest

from datamodules._clips import SAMPLINGS, dense, uniform


@pytest.mark.parametrize(
    ("length", "frames", "clips", "expected"),
    [
        (8, 8, 1, [[0, 1, 2, 3, 4, 5, 6, 7]]),
        (80, 8, 1, [[5, 15, 25, 35, 44, 54, 64, 74]]),  # halfway: the one nearer to the middle
        (30, 4, 1, [[3, 11, 18, 26]]),
        (12, 4, 2, [[1, 4, 6, 9], [2, 5, 7, 10]]),
        (36, 4, 2, [[3, 12, 20, 29], [6, 15, 23, 32]]),
        (3, 6, 1, [[0, 0, 1, 1, 2, 2]]),
        (1, 4, 3, [[0] * 4] * 3),
    ],
)
def test_uniform_test_clips_by_table(length, frames, clips, expected):
    assert uniform(length, frames, 1, clips, None).tolist() == expected


@pytest.mark.parametrize(
    ("length", "frames", "interval", "clips", "expected"),
    [
        (10, 4, 2, 1, [[1, 3, 5, 7]]),
        (10, 4, 2, 2, [[0, 2, 4, 6], [3, 5, 7, 9]]),
        (300, 3, 16, 3, [[0, 16, 32], [134, 150, 166], [267, 283, 299]]),
        (7, 4, 2, 1, [[0, 2, 4, 6]]),
        (5, 4, 2, 3, [[0, 2, 4, 4]] * 3),  # too short: the last frame is repeated
        (1, 3, 8, 1, [[0, 0, 0]]),
    ],
)
def test_dense_test_clips_by_table(length, frames, interval, clips, expected):
    assert dense(length, frames, interval, clips, None).tolist() == expected


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_clips_are_in_range_and_in_order(name, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    for length, frames, clips in product([1, 2, 7, 8, 9, 31, 32, 300], [1, 8, 32], [1, 2, 3]):
        chosen = SAMPLINGS[name](length, frames, 4, clips, rng)
        assert chosen.shape == (clips, frames) and chosen.dtype == np.int64
        assert chosen.min() >= 0 and chosen.max() < length
        assert (np.diff(chosen) >= 0).all()


@pytest.mark.parametrize("frames", [2, 8, 16])
@pytest.mark.parametrize("clips", [1, 2, 3])
def test_uniform_test_clips_of_a_video_played_backwards_show_the_same_frames(frames, clips):
    for length in range(1, 80):
        chosen = uniform(length, frames, 1, clips, None)
        np.testing.assert_array_equal(length - 1 - chosen[::-1, ::-1], chosen)


def test_uniform_training_clips_take_any_frame_of_each_segment():
    rng = np.random.default_rng(0)
    chosen = uniform(12, 3, 1, 400, rng)
    assert [set(column) for column in chosen.T] == [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}]
    assert (uniform(8, 8, 1, 100, rng) == np.arange(8)).all()  # as long as the clip: no choice


def test_dense_training_clips_start_anywhere_they_fit():
    chosen = dense(10, 4, 2, 400, np.random.default_rng(0))
    assert set(chosen[:, 0]) == {0, 1, 2, 3} and (np.diff(chosen) == 2).all()
    assert (dense(5, 4, 2, 100, np.random.default_rng(0)) == [0, 2, 4, 4]).all()
