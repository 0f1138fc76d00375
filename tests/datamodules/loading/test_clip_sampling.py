"""Which frames make a clip: in range, spread as the samplings say, and each paper's by table."""

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytorchvideo.data.clip_sampling import ClipInfo, RandomClipSampler

from datamodules.decoding.open import open_video
from datamodules.errors import UserError
from datamodules.loading import clip_sampling
from datamodules.loading.clip_sampling import SAMPLINGS

LOOPING = {"aim_dense", "zeroi2v_dense"}
DRAWING = "pytorchvideo_random"  # no test clips
ONE_TEST_CLIP = {"st_adapter_uniform", "aim_uniform"}


def sample(
    name: str,
    length: int,
    frames: int,
    *,
    interval: int = 1,
    seconds: float | None = 1.0,
    clips: int = 1,
    rng: np.random.Generator | None = None,
    rate: float = 25.0,
) -> Any:
    return SAMPLINGS[name](
        np.arange(length) / rate,
        frames=frames,
        interval=interval,
        seconds=seconds,
        clips=clips,
        rng=rng,
    )


def test_every_public_function_is_a_sampling():
    own = {
        name
        for name, each in vars(clip_sampling).items()
        if getattr(each, "__module__", "") == clip_sampling.__name__ and not name.startswith("_")
    }
    assert own == set(SAMPLINGS)


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
    assert sample("uniform", length, frames, clips=clips).tolist() == expected


def starts(first: list[int], frames: int, interval: int) -> list[list[int]]:
    return [[start + t * interval for t in range(frames)] for start in first]


# Worked out by hand from the authors' code:
#   st_adapter: 8 frames 16 apart span 113. 300 frames leave 187 starts after 0: 0, 93.5 -> 94, 187.
#   zeroi2v: the same, numpy rounds to even as Python does. 188 starts: 94 in the middle. What is
#     too short starts over (% length) where ST-Adapter's repeats the last frame.
#   aim: a clip counts for 8 x 16 = 128, 300 frames have 173 starts; the centres of 3 stretches of
#     57.67 are 28.83, 86.5 and 144.17. 128 frames have 1 start: 1/6, 1/2 and 5/6 -> 0.
@pytest.mark.parametrize(
    ("name", "length", "frames", "interval", "clips", "expected"),
    [
        ("dense", 10, 4, 2, 1, [[1, 3, 5, 7]]),
        ("dense", 10, 4, 2, 2, [[0, 2, 4, 6], [3, 5, 7, 9]]),
        ("dense", 300, 3, 16, 3, [[0, 16, 32], [134, 150, 166], [267, 283, 299]]),
        ("dense", 7, 4, 2, 1, [[0, 2, 4, 6]]),
        ("dense", 5, 4, 2, 3, [[0, 2, 4, 4]] * 3),  # too short: the last frame is repeated
        ("dense", 1, 3, 8, 1, [[0, 0, 0]]),
        ("st_adapter_dense", 300, 8, 16, 3, starts([0, 94, 187], 8, 16)),
        ("st_adapter_dense", 298, 8, 16, 3, starts([0, 92, 185], 8, 16)),  # 92.5: to even
        ("st_adapter_dense", 300, 8, 16, 1, starts([93], 8, 16)),
        ("st_adapter_dense", 300, 16, 8, 3, starts([0, 90, 179], 16, 8)),  # 89.5: to even
        ("st_adapter_dense", 300, 32, 4, 3, starts([0, 88, 175], 32, 4)),  # 87.5: to even
        ("st_adapter_dense", 70, 8, 16, 3, [[0, 16, 32, 48, 64, 69, 69, 69]] * 3),
        ("st_adapter_dense", 1, 8, 16, 3, [[0] * 8] * 3),
        ("aim_dense", 300, 8, 16, 3, starts([28, 86, 144], 8, 16)),
        ("aim_dense", 300, 16, 8, 3, starts([28, 86, 144], 16, 8)),
        ("aim_dense", 300, 32, 4, 3, starts([28, 86, 144], 32, 4)),
        ("aim_dense", 250, 32, 4, 3, starts([20, 61, 102], 32, 4)),  # 20.5, 61.5, 102.5
        ("aim_dense", 300, 32, 4, 1, starts([86], 32, 4)),
        ("aim_dense", 128, 32, 4, 3, starts([0, 0, 0], 32, 4)),
        (
            "aim_dense",
            115,
            8,
            16,
            3,
            starts([0, 0, 0], 8, 16),
        ),  # 113 frames would do, but 128 count
        ("aim_dense", 100, 8, 16, 3, [[0, 16, 32, 48, 64, 80, 96, 12]] * 3),
        ("aim_dense", 20, 8, 16, 2, [[0, 16, 12, 8, 4, 0, 16, 12]] * 2),
        ("aim_dense", 1, 8, 16, 3, [[0] * 8] * 3),
        ("zeroi2v_dense", 300, 8, 16, 3, starts([0, 94, 187], 8, 16)),
        ("zeroi2v_dense", 301, 8, 16, 3, starts([0, 94, 188], 8, 16)),
        ("zeroi2v_dense", 300, 32, 4, 3, starts([0, 88, 175], 32, 4)),
        ("zeroi2v_dense", 300, 8, 16, 1, starts([93], 8, 16)),
        ("zeroi2v_dense", 115, 8, 16, 3, starts([0, 1, 2], 8, 16)),
        ("zeroi2v_dense", 100, 8, 16, 3, [[0, 16, 32, 48, 64, 80, 96, 12]] * 3),
        ("zeroi2v_dense", 1, 8, 16, 3, [[0] * 8] * 3),
    ],
)
def test_dense_test_clips_by_table(name, length, frames, interval, clips, expected):
    assert sample(name, length, frames, interval=interval, clips=clips).tolist() == expected


# By hand. 81 frames: segments of 80 / 8 = 10, ends at 0, 10, .. 80; middles 5, 15, .. In 30 frames
# they are of 3.625, with ends at 0, 4 (3.625), 7 (7.25), 11, 14 (14.5: to even), 18, 22, 25, 29. In
# 5 frames of 0.5: 0, 0 (0.5), 1, 2 (1.5), 2, 2 (2.5), 3, 4 (3.5), 4.
# ZeroI2V adds int(s / 2) to the start: 5 of 10, 1 of 3.625, 0 of 0.5; and with two clips int(s / 3)
# and int(2 s / 3): 3 and 6 of 10. 17 frames for 16, 33 for 32: segments of 1.
@pytest.mark.parametrize(
    ("name", "length", "frames", "clips", "expected"),
    [
        *(
            (name, *row)
            for name in ("st_adapter_uniform", "aim_uniform")
            for row in [
                (81, 8, 1, [[5, 15, 25, 35, 45, 55, 65, 75]]),
                (30, 8, 1, [[2, 5, 9, 12, 16, 20, 23, 27]]),
                (5, 8, 1, [[0, 0, 1, 2, 2, 2, 3, 4]]),
                (1, 8, 1, [[0] * 8]),
                (17, 16, 1, [[*range(16)]]),  # (0 + 1) // 2
                (65, 32, 1, [[*range(1, 65, 2)]]),
            ]
        ),
        ("zeroi2v_uniform", 81, 8, 1, [[5, 15, 25, 35, 45, 55, 65, 75]]),
        ("zeroi2v_uniform", 81, 8, 2, [[*range(3, 81, 10)], [*range(6, 81, 10)]]),
        ("zeroi2v_uniform", 30, 8, 1, [[1, 5, 8, 12, 15, 19, 23, 26]]),
        ("zeroi2v_uniform", 5, 8, 1, [[0, 0, 1, 2, 2, 2, 3, 4]]),
        ("zeroi2v_uniform", 1, 8, 2, [[0] * 8] * 2),
        ("zeroi2v_uniform", 33, 32, 1, [[*range(32)]]),
        ("zeroi2v_uniform", 321, 16, 1, [[*range(10, 321, 20)]]),
    ],
)
def test_uniform_test_clips_of_papers_by_table(name, length, frames, clips, expected):
    assert sample(name, length, frames, clips=clips).tolist() == expected


@pytest.mark.parametrize("name", sorted(ONE_TEST_CLIP))
def test_what_has_one_test_clip_says_so(name):
    with pytest.raises(UserError, match=r"test\.clips is 3"):
        sample(name, 80, 8, clips=3)


@pytest.mark.parametrize(
    ("name", "seed"),
    [(name, s) for name in SAMPLINGS for s in (None, 0, 1) if s is not None or name != DRAWING],
)
def test_clips_are_in_range_and_in_order(name, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    for length, frames, clips in product([1, 2, 7, 8, 9, 31, 32, 300], [1, 8, 32], [1, 2, 3]):
        if rng is None and name in ONE_TEST_CLIP and clips > 1:
            continue
        chosen = sample(name, length, frames, interval=4, clips=clips, rng=rng)
        assert chosen.shape == (clips, frames) and chosen.dtype == np.int64
        assert chosen.min() >= 0 and chosen.max() < length
        assert (np.diff(chosen) >= 0).all() or (name in LOOPING and length <= 4 * frames)


@pytest.mark.parametrize("frames", [2, 8, 16])
@pytest.mark.parametrize("clips", [1, 2, 3])
def test_uniform_test_clips_of_a_video_played_backwards_show_the_same_frames(frames, clips):
    for length in range(1, 80):
        chosen = sample("uniform", length, frames, clips=clips)
        np.testing.assert_array_equal(length - 1 - chosen[::-1, ::-1], chosen)


def test_uniform_training_clips_take_any_frame_of_each_segment():
    rng = np.random.default_rng(0)
    chosen = sample("uniform", 12, 3, clips=400, rng=rng)
    assert [set(column) for column in chosen.T] == [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}]
    # as long as the clip: no choice
    assert (sample("uniform", 8, 8, clips=100, rng=rng) == np.arange(8)).all()


@pytest.mark.parametrize("name", ["st_adapter_uniform", "aim_uniform", "zeroi2v_uniform"])
def test_uniform_training_clips_of_papers_may_take_both_ends_of_each_segment(name):
    chosen = sample(name, 13, 3, clips=400, rng=np.random.default_rng(0))  # ends at 0, 4, 8, 12
    assert [set(column) for column in chosen.T] == [{*range(5)}, {*range(4, 9)}, {*range(8, 13)}]


# Where a random clip of 4 frames, 2 apart, may start, and what it is in a video too short for it.
@pytest.mark.parametrize(
    ("name", "latest", "short"),
    [
        ("dense", 3, {5: [0, 2, 4, 4], 6: [0, 2, 4, 5]}),
        ("st_adapter_dense", 3, {5: [0, 2, 4, 4], 6: [0, 2, 4, 4], 7: [0, 2, 4, 6]}),
        ("aim_dense", 2, {5: [0, 2, 4, 1], 6: [0, 2, 4, 0], 7: [0, 2, 4, 6], 8: [0, 2, 4, 6]}),
        ("zeroi2v_dense", 2, {5: [0, 2, 4, 1], 6: [0, 2, 4, 0], 7: [0, 2, 4, 6], 8: [0, 2, 4, 6]}),
    ],
)
def test_dense_training_clips_start_anywhere_they_fit(name, latest, short):
    rng = np.random.default_rng(0)
    chosen = sample(name, 10, 4, interval=2, clips=400, rng=rng)
    assert set(chosen[:, 0]) == set(range(latest + 1)) and (np.diff(chosen) == 2).all()
    for length, expected in short.items():
        assert (sample(name, length, 4, interval=2, clips=100, rng=rng) == expected).all()


def test_a_second_at_25_frames_a_second_is_25_frames_from_every_start():
    times = np.arange(250) / 25
    for start in [*(j / 25 for j in range(225)), *np.random.default_rng(0).uniform(0, 9, 500)]:
        clip = ClipInfo(start, start + 1.0, 0, 0, True)
        chosen = clip_sampling._windows(times, [clip], 250)
        assert len(set(chosen[0].tolist())) == 25, start
        assert chosen[0, 0] == np.ceil(start * 25 - 1e-4)


def test_pytorchvideo_training_clips_are_those_of_its_sampler(monkeypatch):
    for seed in range(20):
        monkeypatch.setattr(
            random, "uniform", lambda low, high, s=seed: low + (high - low) * s / 20
        )
        clip = RandomClipSampler(2.0)(0.0, 10.0, {})
        start, end = round(float(clip[0]) * 25, 3), round(float(clip[1]) * 25, 3)  # in frames
        expected = [i for i in range(250) if start <= i < end]
        got = sample("pytorchvideo_random", 250, 50, seconds=2.0, rng=np.random.default_rng(seed))
        np.testing.assert_array_equal(got[0], expected)


def test_pytorchvideo_draws_from_our_random_numbers_and_leaves_pythons_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    got = [
        sample("pytorchvideo_random", 250, 8, clips=50, rng=np.random.default_rng(s)).tolist()
        for s in (1, 1, 2)
    ]
    assert got[0] == got[1] != got[2]
    assert len({clip[0] for clip in got[0]}) > 30
    assert random.random() == expected
    for name in ("pytorchvideo_constant", "pytorchvideo_uniform"):
        trained = sample(name, 250, 8, clips=50, rng=np.random.default_rng(1))
        assert trained.tolist() == got[0]


# 10 s at 25 frames a second. Constant: the last start is 8 s, and 3 clips start at 0, 8/3 and 16/3,
# whose first frames are 0, 67 and 134 (2.68 and 5.36 s). Uniform: 5 clips of 2 s, of which the 1st,
# 2nd and 4th. 8 of 50 frames: 49 i / 7, every 7th.
def test_pytorchvideo_test_clips_by_table():
    every_7th = [*range(0, 50, 7)]
    constant = sample("pytorchvideo_constant", 250, 8, seconds=2.0, clips=3)
    assert constant.tolist() == [[s + i for i in every_7th] for s in (0, 67, 134)]
    uniform = sample("pytorchvideo_uniform", 250, 8, seconds=2.0, clips=3)
    assert uniform.tolist() == [[s + i for i in every_7th] for s in (0, 50, 150)]
    for name in ("pytorchvideo_constant", "pytorchvideo_uniform"):  # shorter than a clip
        assert sample(name, 5, 4, seconds=2.0, clips=2).tolist() == [[0, 1, 2, 4]] * 2
        assert sample(name, 1, 4, seconds=2.0, clips=2).tolist() == [[0] * 4] * 2


def test_a_window_in_which_no_frame_begins_has_the_one_then_shown():
    times = np.array([0.0, 0.1, 5.0, 5.1])  # frame 1 stays for five seconds
    clip = ClipInfo(2.0, 3.0, 0, 0, True)
    assert clip_sampling._windows(times, [clip], 2).tolist() == [[1, 1]]
    late = ClipInfo(9.0, 10.0, 0, 0, True)
    assert clip_sampling._windows(times, [late], 2).tolist() == [[3, 3]]


def test_pytorchvideo_wants_seconds_and_does_not_draw_test_clips():
    for name in ("pytorchvideo_random", "pytorchvideo_constant", "pytorchvideo_uniform"):
        for rng in (None, np.random.default_rng(0)):
            with pytest.raises(UserError, match=r"clip\.seconds is not set"):
                sample(name, 80, 8, seconds=None, rng=rng)
    with pytest.raises(UserError, match=r"set test\.sampling"):
        sample("pytorchvideo_random", 80, 8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("aim_dense", [[14, 22, 30, 38]]),  # 29 starts, whose centre is 14.5
        ("zeroi2v_dense", [[17, 25, 33, 41]]),  # 35 starts after 0
        ("aim_uniform", [[7, 22, 37, 51]]),  # ends at 0, 15, 30 (29.5), 44, 59
        ("pytorchvideo_constant", [[0, 8, 16, 24]]),
    ],
)
def test_a_clip_of_a_real_video_shows_the_frames_it_names(
    name: str, expected: list[list[int]], grey: Callable[[int], Path]
):
    with open_video(grey(60)) as video:
        chosen = SAMPLINGS[name](video.times, frames=4, interval=8, seconds=1.0, clips=1, rng=None)
        pictures = video.frames(chosen.reshape(-1))
    assert chosen.tolist() == expected
    assert pictures[:, 0, 0, 0].tolist() == expected[0]
