"""Many clips through a model, always the same number at once."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def in_fixed_batches(model: nn.Module, clips: Tensor, size: int) -> Tensor:
    """Return a model's logits (N, K) of clips (N, C, T, H, W), `size` clips per forward.

    The last forward is filled up with copies of its first clip, so that a clip's logits depend
    neither on how many others follow it nor on their number.
    """
    logits = []
    for chunk in clips.split(size):
        padding = chunk[:1].expand(size - len(chunk), *chunk.shape[1:])
        logits.append(model(torch.cat([chunk, padding]))[: len(chunk)])
    return torch.cat(logits)
