"""AdamW as every paper here uses it, with a linear warm-up into a cosine decay."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw(
    model: nn.Module,
    *,
    lr: float,
    head_lr: float | None,
    weight_decay: float,
    betas: Sequence[float],
) -> AdamW:
    """Return AdamW over what trains in `model`; biases, norms and other vectors do not decay.

    Args:
        model: its `head` may learn at another rate than the rest.
        lr: the peak learning rate.
        head_lr: that of the head; None: `lr` too.
        weight_decay: of matrices and kernels.
        betas: Adam's two.
    """
    head = {id(p) for p in getattr(model, "head", nn.Module()).parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in model.parameters():
        if p.requires_grad:
            rate = lr if head_lr is None or id(p) not in head else head_lr
            groups.setdefault((rate, weight_decay if p.ndim > 1 else 0.0), []).append(p)
    listed = [
        {"params": ps, "lr": rate, "weight_decay": decay} for (rate, decay), ps in groups.items()
    ]
    return AdamW(listed, lr=lr, betas=(betas[0], betas[1]))


def warmup_cosine(optimizer: torch.optim.Optimizer, *, warmup: int, steps: int) -> LambdaLR:
    """Scale every group's rate: linearly up from 0 over `warmup` steps, as a cosine down to 0."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(optimizer, factor)
