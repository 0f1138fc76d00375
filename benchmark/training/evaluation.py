"""Exact evaluation: every video once, whatever the number of ranks, workers or videos per batch."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_stat_scores

from benchmark.models.checkpoint import statistics
from benchmark.models.fixed_batches import in_fixed_batches
from benchmark.results.answers import Answers


@dataclass(frozen=True)
class Scores:
    """What a model says of N videos.

    Attributes:
        index: (N,) int64, of the video in its split, ascending.
        label: (N,) int64.
        scores: (N, K) float32, the softmax averaged over the video's views.
        clips_right: (N,) int64, how many of the video's views have the right answer.
        broken: (N,) bool, videos that could not be decoded: whatever their scores, they are wrong.
        views: V, clips per video.
    """

    index: Tensor
    label: Tensor
    scores: Tensor
    clips_right: Tensor
    broken: Tensor
    views: int


@torch.no_grad()
def score(
    model: nn.Module,
    video: Tensor,
    label: Tensor,
    index: Tensor,
    *,
    clips: int,
    broken: Tensor | None = None,
) -> Scores:
    """Return the scores of a batch of videos (B, V, C, T, H, W), `clips` clips per forward.

    Every forward has exactly `clips` clips, the last one filled up with copies of its first, so
    that a video's answer depends neither on how many others follow it nor on their number.
    Videos that are `broken` (B,) bool are answered wrong. What has index -1 is left out.
    """
    broken = torch.zeros(len(video), dtype=torch.bool) if broken is None else broken.cpu()
    views = video.shape[1]
    logits = in_fixed_batches(model, video.flatten(0, 1), clips)
    p = logits.double().softmax(dim=-1).unflatten(0, (len(video), views))  # (B, V, K)
    right = (p.argmax(dim=-1) == label[:, None]).sum(dim=1).cpu() * ~broken
    index, p = index.cpu(), p.mean(dim=1).float().cpu()
    own = index >= 0
    return Scores(index[own], label.cpu()[own], p[own], right[own], broken[own], views)


def agree(model: nn.Module) -> None:
    """Give the batch norms of all ranks the running statistics of the first, as checkpoints do."""
    if dist.is_available() and dist.is_initialized():
        for tensor in statistics(model).values():
            dist.broadcast(tensor, 0)


def gather(batches: list[Scores], *, expected: int) -> Scores:
    """Return the scores of all ranks in the order of the videos.

    Raises:
        RuntimeError: not exactly the `expected` videos were seen, each once.
        FloatingPointError: scores of a video are not finite: nothing can be said of it.
    """
    if dist.is_available() and dist.is_initialized():
        everyone: list[list[Scores] | None] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, batches)
        batches = [batch for rank in everyone for batch in rank or []]
    index = torch.cat([batch.index for batch in batches] or [torch.empty(0, dtype=torch.int64)])
    order = index.argsort()
    if not torch.equal(index[order], torch.arange(expected)):
        raise RuntimeError(f"evaluated {len(index)} videos, {len(index.unique())} of {expected}")

    def column(name: str) -> Tensor:
        return torch.cat([getattr(batch, name) for batch in batches])[order]

    scores = column("scores")
    if odd := int((~scores.isfinite()).any(dim=1).sum()):
        raise FloatingPointError(f"the scores of {odd} of {expected} videos are not finite")
    return Scores(
        index[order],
        column("label"),
        scores,
        column("clips_right"),
        column("broken"),
        batches[0].views,
    )


def metrics(scores: Scores) -> dict[str, float]:
    """Return top-1, top-5, their per-class mean and the clip accuracy, as fractions.

    Computed from counts, in float64. Classes without a video do not enter `mean_class`. With fewer
    than five classes there is no `top5`. Broken videos count, as wrong.
    """
    videos, classes = scores.scores.shape
    whole, label = scores.scores[~scores.broken], scores.label[~scores.broken]

    def right(k: int) -> Tensor:  # (K,) right answers of each class
        if not len(label):
            return torch.zeros(classes, dtype=torch.float64)
        stat = multiclass_stat_scores(whole, label, classes, average=None, top_k=k)
        return stat[:, 0].double()

    each = scores.label.bincount(minlength=classes)  # (K,) videos of each class
    present = each > 0
    first = right(1)
    found = {
        "top1": float(first.sum()) / videos,
        "mean_class": float((first[present] / each[present]).mean()),
        "clip_top1": float(scores.clips_right.sum()) / (videos * scores.views),
    }
    if classes >= 5:
        found["top5"] = float(right(5).sum()) / videos
    return found


def chance(scores: Scores) -> float:
    """Return the accuracy of always answering the class that most of the videos have."""
    return float(scores.label.bincount().max()) / len(scores.label)


def answers(scores: Scores, merged: Scores | None = None) -> Answers:
    """Return which videos were answered right, as `metrics` counts them.

    Args:
        scores: of the model.
        merged: of the same model, merged. None: nothing merges.
    """
    return Answers(
        _right(scores, 1),
        _right(scores, 5) if scores.scores.shape[1] >= 5 else None,
        None if merged is None else _right(merged, 1),
    )


def merging(scores: Scores, merged: Scores | None) -> dict[str, float]:
    """Return the accuracy after merging, and what merging changed; nothing if nothing merges."""
    if merged is None:
        return {}
    top1 = metrics(merged)["top1"]
    return {
        "merged_top1": top1,
        "merged_top1_change": top1 - metrics(scores)["top1"],
        "merged_score_change": float((merged.scores - scores.scores).abs().max()),
    }


def _right(scores: Scores, k: int) -> NDArray[np.bool_]:
    """Return whether the label of each video, (N,), is among its first k answers."""
    first = scores.scores.argmax(dim=1, keepdim=True) if k == 1 else scores.scores.topk(k).indices
    right: NDArray[np.bool_] = ((first == scores.label[:, None]).any(1) & ~scores.broken).numpy()
    return right
