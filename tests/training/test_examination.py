"""An examination finds what is known of models made for it, and is never taken for a record."""

import json
import math
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import small_sweep
import torch
from forked import Process
from made_record import made_record
from places import set_places
from tiny import construct
from torch import Tensor, nn

from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT
from benchmark.recipes import compose
from benchmark.results import examination, record
from benchmark.results.examination import Examination
from benchmark.training.evaluation import Scores, metrics, score
from benchmark.training.examination.calibration import calibration
from benchmark.training.examination.class_gains import gains
from benchmark.training.examination.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from benchmark.training.examination.drift import StillFeatures
from benchmark.training.examination.examine import (
    WAYS,
    clip_numbers,
    demand_known,
    draw,
    to_watch,
)
from benchmark.training.examination.frame_order import one_repeated, reversed_frames, shuffled
from benchmark.training.examination.report import ROWS
from datamodules.dataset_info import Split

RUN = "quick/digits_motion/vit_digits"


def views(seed: int = 0, size: int = 32) -> Tensor:
    """Return two views of a video of eight frames, uint8 (V, C, T, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(40, 200, (2, 3, 8, size, size), generator=generator, dtype=torch.uint8)


class OrderBlind(nn.Module):
    """Score a clip by the mean of each channel."""

    def forward(self, video: Tensor) -> Tensor:
        return video.mean(dim=(2, 3, 4))


class FirstFrame(nn.Module):
    """Score a clip by the mean of each channel of its first frame."""

    def forward(self, video: Tensor) -> Tensor:
        return video[:, :, 0].mean(dim=(2, 3))


ORDERS = {
    "shuffled": partial(shuffled, seed=0),
    "reversed": reversed_frames,
    "one_repeated": one_repeated,
}


def scored(model: nn.Module, videos: Tensor, order: str) -> Scores:
    """Return the scores of videos (B, V, C, T, H, W) whose frames are in another order."""
    altered = torch.stack([ORDERS[order](each, i) for i, each in enumerate(videos)]).double()
    count = len(videos)
    return score(model, altered, torch.arange(count) % 3, torch.arange(count), clips=4)


def test_a_model_blind_to_order_loses_nothing_by_shuffling_and_reversing() -> None:
    videos = torch.stack([views(seed) for seed in range(6)])
    plain = score(OrderBlind(), videos.double(), torch.arange(6) % 3, torch.arange(6), clips=4)
    for order in ("shuffled", "reversed"):
        found = scored(OrderBlind(), videos, order)
        torch.testing.assert_close(found.scores, plain.scores)
        assert metrics(found)["top1"] == metrics(plain)["top1"]


def test_a_model_of_the_first_frame_sees_the_last_and_the_middle_one() -> None:
    videos = torch.stack([views(seed) for seed in range(6)])
    for order, frame in (("reversed", 7), ("one_repeated", 4)):
        expected = videos[:, :, :, frame].double().mean(dim=(3, 4)).softmax(-1).mean(1)
        found = scored(FirstFrame(), videos, order).scores
        torch.testing.assert_close(found, expected.float())


def test_shuffled_frames_are_the_same_frames_and_the_seeds_alone() -> None:
    video = views()
    found = shuffled(video, 3, seed=0)
    assert torch.equal(found, shuffled(video, 3, seed=0)) and not torch.equal(found, video)
    assert not torch.equal(found, shuffled(video, 3, seed=1))
    assert not torch.equal(found, shuffled(video, 4, seed=0))
    for was, now in zip(video, found, strict=True):
        frames = {frame.numpy().tobytes() for frame in was.transpose(0, 1)}
        assert {frame.numpy().tobytes() for frame in now.transpose(0, 1)} == frames


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_pixels_more_at_a_higher_severity(name: str) -> None:
    still = views()[:, :, :1].repeat_interleave(8, dim=2)
    found = {s: corrupt(still, 5, name=name, severity=s, seed=0) for s in SEVERITIES}
    for each in found.values():
        assert each.shape == still.shape and each.dtype == torch.uint8
        assert (each == each[:, :, :1]).all()  # alike in all frames
    mild, strong = ((each.float() - still).abs().mean() for each in found.values())
    assert 0 < mild < strong
    again = corrupt(still, 5, name=name, severity=3, seed=0)
    assert torch.equal(again, found[3])
    other = corrupt(still, 5, name=name, severity=3, seed=1)
    assert torch.equal(again, other) == (name != "gaussian_noise")


def test_corruptions_are_as_strong_as_they_say() -> None:
    grey = torch.full((1, 3, 2, 64, 64), 128, dtype=torch.uint8)
    noise = corrupt(grey, 0, name="gaussian_noise", severity=3, seed=0).float() / 255
    assert noise.std() == pytest.approx(0.18, abs=0.01)
    assert (corrupt(grey, 0, name="brightness", severity=3, seed=0) == 205).all()  # 128 + 76.5
    dots = grey.clone()
    dots[..., ::2] = 28
    faded = corrupt(dots, 0, name="contrast", severity=3, seed=0).float()
    assert faded.max() - faded.min() == pytest.approx(0.2 * 100, abs=1)
    black = torch.zeros_like(grey)
    assert (corrupt(black, 0, name="brightness", severity=5, seed=0) == 128).all()


def made_scores(p: list[list[float]], label: list[int], broken: int = 0) -> Scores:
    n = len(label)
    lost = torch.arange(n) >= n - broken
    zero = torch.zeros(n, dtype=torch.int64)
    return Scores(torch.arange(n), torch.tensor(label), torch.tensor(p), zero, lost, 1)


def test_calibration_is_what_it_is_by_hand() -> None:
    right = made_scores([[0.75, 0.25]] * 4, [0, 0, 0, 1])  # as sure as it is right
    found = calibration(right)
    assert found["ece"] == pytest.approx(0, abs=1e-6)
    assert found["nll"] == pytest.approx(-(3 * math.log(0.75) + math.log(0.25)) / 4)
    assert found["brier"] == pytest.approx((3 * 2 * 0.25**2 + 2 * 0.75**2) / 4)
    over = calibration(made_scores([[1.0, 0.0]] * 4, [0, 0, 1, 1]))
    assert over["ece"] == pytest.approx(0.5) and over["confidence"] == 1 and over["brier"] == 1
    assert math.isfinite(over["nll"])  # a probability that was rounded to 0
    assert calibration(made_scores([[0.75, 0.25]] * 6, [0, 0, 0, 1, 1, 1], broken=2)) == found
    with pytest.raises(UserError, match="no video could be decoded"):
        calibration(made_scores([[1.0, 0.0]], [0], broken=1))


def test_gains_are_per_class_and_the_best_first() -> None:
    right, probe = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    found = gains(right, probe, np.array([2, 2, 0, 0]), ("ape", "bee", "cow"))
    assert [(each["class"], each["videos"], each["gain"]) for each in found] == [
        ("cow", 2, 0.5),
        ("ape", 2, -0.5),
    ]


def drift(adapted: VideoViT) -> float:
    """Return the mean cosine of the features of three stills to those of a linear probe."""
    compared = StillFeatures(adapted.eval(), construct("class token", "linear_probe").eval())
    stills = torch.randn(3, 1, 3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    batch = {"video": stills.expand(-1, -1, -1, 4, -1, -1), "index": torch.arange(3)}
    with torch.no_grad():
        compared.test_step({**batch, "broken": torch.tensor([-1, -1, 2])}, 0)
    assert len(compared.cosines[0]) == 2  # the third is broken
    return compared.drift()["cosine"]


def test_a_frozen_backbone_does_not_drift_and_a_changed_one_does() -> None:
    assert drift(construct("class token", "linear_probe")) == pytest.approx(1, abs=1e-6)
    changed = construct("class token", "full")
    with torch.no_grad():
        for p in changed.vit.blocks.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    assert drift(changed) < 0.99


def test_as_many_clips_are_tried_as_the_sampling_can_choose() -> None:
    recipe = compose.load(f"{RUN}/aim")
    assert clip_numbers(recipe, 4) == [1, 2, 3, 4]
    one = replace(recipe, test=replace(recipe.test, sampling="st_adapter_uniform"))
    assert clip_numbers(one, 4) == [1]
    assert to_watch(recipe, ["calibration"], 4, 10) == 10
    assert to_watch(recipe, ["time", "views"], 4, 10) == 10 * (1 + 2 + 3 + 4 + 3)


def test_whole_clusters_are_drawn() -> None:
    split = Split.of([f"{i}.mp4" for i in range(20)], [0] * 20, clusters=np.arange(20) // 2)
    rows = draw(split, 5, seed=0)
    assert len(rows) == 6 and sorted({i // 2 * 2 for i in rows}) == rows[::2].tolist()
    assert draw(split, 5, seed=0).tolist() == rows.tolist() != draw(split, 5, seed=1).tolist()
    assert len(draw(split, 100, seed=0)) == 20
    with pytest.raises(UserError, match="0 videos: not a number above 0"):
        draw(split, 0, seed=0)


def test_every_test_is_known_by_name_everywhere() -> None:
    assert list(WAYS) == list(examination.TESTS) == list(ROWS)
    assert demand_known(["drift", "time"]) == ["time", "drift"]
    with pytest.raises(UserError, match="no test 'tim'; did you mean 'time'"):
        demand_known(["tim"])


def made_examination(name: str, **tests: dict[str, object]) -> Examination:
    known = dict(checkpoint="c", overrides=(), commit="d", dirty=False, split="test", sha256="e")
    return Examination(name=name, **known, videos=4, of=4, seed=0, plain={"top1": 0.5}, tests=tests)


def test_an_examination_is_no_record_and_keeps_what_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_places(monkeypatch, tmp_path)
    file = made_record().write()
    name = record.read(file).name
    first = made_examination(name, time={"shuffled": 0.5})
    examination.write(file, first)
    assert record.files() == [file] and len(record.records()) == 1
    assert examination.read(file) == first
    more = made_examination(name, drift={"cosine": 1.0})
    assert list(examination.write(file, more).tests) == ["time", "drift"]
    other = replace(more, checkpoint="another")
    assert examination.write(file, other) == other == examination.read(file)
    examination.path(file).write_text("[]")
    with pytest.raises(UserError, match="not an examination"):
        examination.read(file)


@pytest.mark.slow
def test_a_run_is_examined_at_its_end_and_again_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_places(monkeypatch, tmp_path)
    sizes = [f"{key}={value}" for key, value in small_sweep.SMALL.items()]
    run = f"{RUN}/full"
    options = [*sizes, "train.epochs=1", "workers=0", "wandb.enabled=false"]
    started = Process("benchmark.run", run, *options, "examine=true", env=os.environ)
    assert started.communicate()[1] == "" and started.returncode == 0
    (file,) = (tmp_path / "results").rglob("seed0.json")
    found = json.loads(examination.path(file).read_text())
    assert found["plain"]["top1"] == json.loads(file.read_text())["metrics"]["top1"]
    assert list(found["tests"]) == list(WAYS)
    time = found["tests"]["time"]
    assert time["videos"] == 16 and time["seconds"] >= 0 and time["order_blind_ceiling"] == 0.5
    assert time["reversed"] == found["plain"]["top1"]  # space only: blind to order
    assert found["tests"]["drift"]["cosine"] < 1
    assert "no record" in found["tests"]["classes"]["left_out"]
    assert set(found["tests"]["corruptions"]) == {"videos", "seconds", *CORRUPTIONS}
    (last,) = (tmp_path / "runs").rglob("last.ckpt")
    assert main(["examine", str(last), "--only", "time", "--videos", "4"]) == 0
    said = capsys.readouterr().out
    assert "4 of 16 test videos" in said and "frames shuffled" in said
