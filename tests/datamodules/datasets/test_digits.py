"""Digits do what their labels say, and only the order of its frames tells a clip from its twin."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datamodules.dataset_info import DatasetInfo, Split
from datamodules.datasets import _digits
from datamodules.datasets._digits import (
    IMAGES,
    MOTIONS,
    Floats,
    digits,
    motion,
    randomness,
    stills,
    write,
)
from datamodules.datasets.digits_identity import digits_identity
from datamodules.datasets.digits_motion import digits_motion
from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.errors import UserError

SMALL = {"train": 8, "holdout": 8, "test": 8}


def read(path: str | Path) -> NDArray[np.uint8]:
    with IndexedVideo(path) as video:
        return video.frames(range(len(video)))


def clips(split: Split) -> NDArray[np.uint8]:
    return np.stack([read(split.path(i)) for i in range(len(split))])  # (N, T, H, W, C)


def checksums(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.stat().st_size]
    return {str(f.relative_to(folder)): hashlib.md5(f.read_bytes()).hexdigest() for f in files}


def moving(image: Floats, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    return motion(image, number, rng, frames=8, size=32)


def drift(clip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how brightness moves over a clip (T, H, W, C): right, down, and how much it grows."""
    light = clip.astype(float).sum(-1)
    light -= np.median(light, axis=(1, 2), keepdims=True)
    light[light < 60] = 0  # the digit is brighter than its background
    y, x = np.mgrid[: clip.shape[1], : clip.shape[2]]
    total = light.sum((1, 2))
    places = np.stack([(light * x).sum((1, 2)) / total, (light * y).sum((1, 2)) / total, total])
    return places[:, -1] - places[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["holdout", "test"])
def test_every_test_clip_has_a_twin_that_is_its_exact_reversal(motion: DatasetInfo, split: str):
    videos = motion.splits[split]
    shown, labels = clips(videos), videos.labels
    np.testing.assert_array_equal(shown[1::2], shown[::2, ::-1])
    np.testing.assert_array_equal(labels[1::2], labels[::2] + 1)
    assert (labels[::2] % 2 == 0).all()
    assert len({clip.tobytes() for clip in shown}) == len(shown)


def blind(score: str, shown: NDArray[np.uint8], seed: int) -> NDArray[np.int64]:
    """Classify clips (N, T, H, W, C) by something arbitrary that is symmetric in the frames."""
    rng = np.random.default_rng(seed)
    n, t = shown.shape[:2]
    frames = shown.reshape(n, t, -1).astype(np.int64)
    weights = rng.integers(-9, 10, (frames.shape[-1], 8))  # whole numbers: sums in any order agree
    if score == "linear on the mean frame":
        features = frames.sum(1) @ weights
    elif score == "maximum over frames of a network":
        features = np.maximum(frames @ weights, 0).max(1)
    elif score == "votes of the frames":
        votes = (frames @ weights).argmax(-1)
        features = np.stack([(votes == k).sum(1) for k in range(8)], -1)
    elif score == "spread of the frames":
        features = frames.var(1).round(6) @ weights
    elif score == "set of the frames":
        keys = [b"".join(sorted(frame.tobytes() for frame in clip)) for clip in shown]
        return np.array([hashlib.md5(key).digest()[seed] % 8 for key in keys])
    return features.argmax(-1)


SCORES = (
    "linear on the mean frame",
    "maximum over frames of a network",
    "votes of the frames",
    "spread of the frames",
    "set of the frames",
)


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORES)
def test_whoever_is_blind_to_order_gets_at_most_half_of_the_clips(motion: DatasetInfo, score: str):
    """It answers a clip and its twin alike, their labels differ: at most one of two is right."""
    test = motion.splits["test"]
    shown = clips(test)
    for seed in range(8):
        answers = blind(score, shown, seed)
        np.testing.assert_array_equal(answers[::2], answers[1::2])
        assert (answers == test.labels).mean() <= motion.order_blind_ceiling == 0.5


@pytest.mark.slow
def test_who_knows_everything_but_the_order_gets_half_and_who_sees_it_gets_all(motion: DatasetInfo):
    test = motion.splits["test"]
    shown, labels = clips(test), test.labels.tolist()
    sets = [frozenset(frame.tobytes() for frame in clip) for clip in shown]
    known = dict(zip(sets, labels, strict=True))
    assert np.mean([known[each] == label for each, label in zip(sets, labels, strict=True)]) == 0.5
    assert len({clip.tobytes() for clip in shown}) == len(shown) == 2 * len(known)


@pytest.mark.slow
def test_labels_are_balanced_and_images_of_splits_are_not_shared(motion: DatasetInfo):
    for split in motion.splits.values():
        assert len(set(np.bincount(split.labels, minlength=8))) == 1
    assert motion.classes == MOTIONS and motion.flip == "never"
    used = [set(images) for images in IMAGES.values()]
    assert sum(map(len, used)) == len(set.union(*used)) == 1797


@pytest.mark.parametrize(("axis", "sign"), [(a, s) for a in (0, 1, 3) for s in (1, -1)])
def test_digits_move_as_their_label_says(axis: int, sign: int):
    images, _ = digits()
    number = 2 * axis + (sign < 0)
    moved = [
        drift(moving(images[i], number, np.random.default_rng(i)))[min(axis, 2)] for i in range(40)
    ]
    assert np.mean(np.sign(moved) == sign) > 0.95


def test_clockwise_is_clockwise():
    image = np.zeros((8, 8))
    image[0, 3:5] = 1  # ink at the top, which turns to the right
    for seed in range(20):
        assert drift(moving(image, 4, np.random.default_rng(seed)))[0] > 3
        assert drift(moving(image, 5, np.random.default_rng(seed)))[0] < -3


@pytest.mark.parametrize("number", range(0, 8, 2))
def test_the_two_motions_of_a_pair_are_one_drawing_played_both_ways(number: int):
    images, _ = digits()
    for seed in range(3):
        one, other = (moving(images[7], n, randomness("train", seed)) for n in (number, number + 1))
        np.testing.assert_array_equal(one, other[::-1])


def test_coding_does_not_tell_the_place_in_time(tmp_path: Path):
    """Eight times the same picture comes back as eight times the same picture."""
    picture = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    write(tmp_path / "still.mp4", np.stack([picture] * 8))
    shown = read(tmp_path / "still.mp4")
    assert len(shown) == 8 and (shown == shown[0]).all()
    assert np.abs(shown[0].astype(int) - picture).max() <= 4  # YUV has fewer colours


@pytest.mark.slow
def test_the_label_of_an_identity_clip_is_its_digit(tmp_path: Path):
    data = digits_identity(root=tmp_path, train=20, holdout=10, test=20)
    assert data.classes == tuple("0123456789") and data.order_blind_ceiling is None
    for split in data.splits.values():
        assert len(set(np.bincount(split.labels, minlength=10))) == 1
    shown = clips(data.splits["train"])
    assert (shown[:, 0] != shown[:, -1]).any((1, 2, 3)).all()


@pytest.mark.slow
def test_the_same_parameters_give_the_same_bytes(tmp_path: Path):
    one, other = (digits_motion(root=tmp_path / each, **SMALL) for each in ("a", "b"))
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b") != {}
    for split in one.splits:
        assert one.splits[split].sha256() == other.splits[split].sha256()


@pytest.mark.slow
def test_a_clip_does_not_depend_on_how_many_there_are(tmp_path: Path):
    few, more = (
        digits_motion(root=tmp_path, **{**SMALL, "train": count}).splits["train"]
        for count in (8, 12)
    )
    assert few.sha256() != more.sha256()
    np.testing.assert_array_equal(clips(few), clips(more)[:8])


@pytest.mark.slow
def test_other_parameters_and_versions_get_other_folders(tmp_path: Path, monkeypatch):
    def folder(**options: int) -> str:
        return digits_motion(root=tmp_path, **{**SMALL, **options}).splits["train"].name(0)

    names = [folder(), folder(frames=9), folder(size=48), folder(test=10)]
    monkeypatch.setattr(_digits, "VERSION", _digits.VERSION + 1)
    assert len({*names, folder()}) == 5
    shown = read(tmp_path / names[2])
    assert shown.shape == (8, 48, 48, 3) and read(tmp_path / names[1]).shape == (9, 32, 32, 3)


@pytest.mark.slow
def test_videos_are_written_once_and_then_reused(tmp_path: Path, monkeypatch):
    first = digits_motion(root=tmp_path, **SMALL)
    monkeypatch.setattr(_digits, "_write_all", lambda *_: pytest.fail("written again"))
    start = time.perf_counter()
    again = digits_motion(root=tmp_path, **SMALL)
    assert time.perf_counter() - start < 0.2
    assert again.splits["test"].sha256() == first.splits["test"].sha256()


@pytest.mark.slow
def test_of_two_that_start_together_one_writes(tmp_path: Path, monkeypatch):
    written = []
    write_all = _digits._write_all

    def counted(*arguments):
        written.append(arguments)
        write_all(*arguments)

    monkeypatch.setattr(_digits, "_write_all", counted)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(digits_motion, root=tmp_path, **SMALL) for _ in range(3)]
        assert len({run.result().splits["test"].sha256() for run in runs}) == 1
    assert len(written) == 1


@pytest.mark.slow
def test_what_a_killed_process_left_behind_is_not_taken_for_videos(tmp_path: Path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_digits, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        digits_motion(root=tmp_path, **SMALL)
    assert [file.suffix for file in tmp_path.iterdir()] == [".lock"]
    name = next(tmp_path.iterdir()).stem
    (tmp_path / f"{name}.part" / "train").mkdir(parents=True)  # of a process killed outright
    (tmp_path / f"{name}.part" / "train" / "99999.mp4").touch()
    data = digits_motion(root=tmp_path, **SMALL)
    assert len(os.listdir(tmp_path / name / "train")) == len(data.splits["train"]) == 8
    assert not (tmp_path / f"{name}.part").exists()


@pytest.mark.slow
def test_stills_look_like_frames_and_are_all_different():
    images, _ = digits()
    pictures = stills(images[:100], np.random.default_rng(0))
    assert pictures.shape == (100, 32, 32, 3) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 100
    np.testing.assert_array_equal(pictures, stills(images[:100], np.random.default_rng(0)))
    frames = np.concatenate([moving(images[i], 0, randomness("train", i)) for i in range(100)])
    assert abs(pictures.mean() - frames.mean()) < 5 and abs(pictures.std() - frames.std()) < 5


def test_a_folder_that_cannot_be_written_is_a_mistake(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        digits_motion(root=tmp_path / "file", **SMALL)


@pytest.mark.parametrize(
    "wrong", [{"test": 7}, {"holdout": 3}, {"frames": 1}, {"size": 31}, {"train": 0}]
)
def test_impossible_numbers_are_a_mistake(wrong: dict[str, int], tmp_path: Path):
    with pytest.raises(UserError, match="digits_motion"):
        digits_motion(root=tmp_path, **{**SMALL, **wrong})
    assert not list(tmp_path.iterdir())
