"""Scores are those of the model, each video once, and metrics are exact counts."""

import pytest
import torch
from torch import Tensor, nn

from benchmark.training.evaluation import Scores, gather, metrics, score


class Mean(nn.Module):
    """Score a clip by the mean of each channel; remembers how many clips came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, video: Tensor) -> Tensor:
        self.seen.append(len(video))
        return video.mean(dim=(2, 3, 4))


def videos(count: int, views: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(count, views, 6, 2, 4, 4, generator=generator)
    return video, torch.arange(count) % 6, torch.arange(count)


@pytest.mark.parametrize("clips", [1, 3, 8, 100])
def test_every_forward_has_as_many_clips(clips: int) -> None:
    model = Mean()
    video, label, index = videos(5, 3)
    found = score(model, video, label, index, clips=clips)
    assert set(model.seen) == {clips}
    p = video.double().mean(dim=(3, 4, 5)).softmax(dim=-1)  # (B, V, K)
    torch.testing.assert_close(found.scores, p.mean(dim=1).float(), rtol=0, atol=1e-6)
    assert torch.equal(found.clips_right, (p.argmax(-1) == label[:, None]).sum(1))


def test_gather_puts_videos_in_order() -> None:
    video, label, index = videos(5, 2)
    parts = [
        score(Mean(), video[i], label[i], index[i], clips=2)
        for i in (torch.tensor([3, 4]), torch.tensor([0, 2]), torch.tensor([1]))
    ]
    whole = score(Mean(), video, label, index, clips=2)
    found = gather(parts, expected=5)
    assert torch.equal(found.index, torch.arange(5))
    assert torch.equal(found.label, whole.label)
    assert torch.equal(found.scores, whole.scores)


@pytest.mark.parametrize("expected", [4, 6])
def test_a_missing_or_extra_video_is_refused(expected: int) -> None:
    batch = score(Mean(), *videos(5, 1), clips=5)
    with pytest.raises(RuntimeError, match="evaluated 5 videos"):
        gather([batch], expected=expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_refused(value: float) -> None:
    video, label, index = videos(5, 2)
    video[3, 1, 2] = value  # of one class in one view
    batch = score(Mean(), video, label, index, clips=2)
    if value < 0:  # which a softmax makes 0 of
        assert gather([batch], expected=5).scores.isfinite().all()
    else:
        with pytest.raises(FloatingPointError, match="scores of 1 of 5 videos are not finite"):
            gather([batch], expected=5)


def test_a_repeated_video_is_refused() -> None:
    batch = score(Mean(), *videos(5, 1), clips=5)
    with pytest.raises(RuntimeError, match="evaluated 10 videos"):
        gather([batch, batch], expected=10)


def test_metrics_are_exact_counts() -> None:
    scores = torch.eye(6)[[0, 0, 0, 1, 2, 5, 3]] + torch.linspace(0, 0.1, 6)
    label = torch.tensor([0, 0, 0, 0, 2, 1, 1])  # class 0: 3 of 4, class 1: 0 of 2, class 2: 1 of 1
    right = torch.tensor([2, 2, 1, 0, 2, 0, 1])
    found = metrics(
        Scores(torch.arange(7), label, scores, right, torch.zeros(7, dtype=torch.bool), views=2)
    )
    assert found["top1"] == 4 / 7
    assert found["mean_class"] == (3 / 4 + 0 + 1) / 3
    assert found["clip_top1"] == 8 / 14
    assert found["top5"] == 6 / 7  # only the fourth, whose class 0 is sixth, is missed


def test_broken_videos_are_wrong_whatever_their_scores() -> None:
    video, label, index = videos(6, 2)
    model = Mean()
    video[:, :, 0] += 10  # all are said to be of class 0
    whole = metrics(score(model, video, label, index, clips=4))
    assert whole["top1"] == whole["clip_top1"] == whole["mean_class"] == 1 / 6
    found = metrics(score(model, video, label, index, clips=4, broken=index == 0))
    assert found["top1"] == found["clip_top1"] == found["mean_class"] == 0
    assert found["top5"] < whole["top5"]
    nothing = metrics(score(model, video, label, index, clips=4, broken=index >= 0))
    assert set(nothing.values()) == {0}


def test_a_stand_in_for_no_video_is_not_scored() -> None:
    video, label, _ = videos(3, 2)
    found = score(Mean(), video, label, torch.tensor([-1, 0, -1]), clips=2)
    assert found.index.tolist() == [0] and len(found.scores) == len(found.broken) == 1
