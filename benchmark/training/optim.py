"""AdamW as the papers here use it, or SGD; a linear warm-up, and a rate that falls."""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from benchmark.models.decay import VECTORS, demand_named, spared

BLOCK = re.compile(r"vit\.blocks\.(\d+)\.")
BEHIND = ("vit.norm.", "vit.fc_norm.", "vit.attn_pool.")  # the last block, as all outside the ViT
FUSED = ("cpu", "cuda")  # devices on which one kernel updates a parameter: a third of the time


def adamw(model: nn.Module, *, lr: float, betas: Sequence[float], **how: Any) -> AdamW:
    """Return AdamW with Adam's two `betas` over the `groups` of `model`."""
    listed = groups(model, lr=lr, **how)
    trained = [p for group in listed for p in group["params"]]
    fused = bool(trained) and all(p.device.type in FUSED and p.is_floating_point() for p in trained)
    return AdamW(listed, lr=lr, betas=(betas[0], betas[1]), fused=fused or None)


def sgd(model: nn.Module, *, lr: float, momentum: float, nesterov: bool, **how: Any) -> SGD:
    """Return SGD over the `groups` of `model`; its weight decay is part of the gradient."""
    return SGD(groups(model, lr=lr, **how), lr=lr, momentum=momentum, nesterov=nesterov)


def groups(
    model: nn.Module,
    *,
    lr: float,
    head_lr: float | None,
    layer_decay: float = 1.0,
    weight_decay: float,
    no_decay: Sequence[str] = (VECTORS,),
) -> list[dict[str, Any]]:
    """Return what trains in `model`, by its rate and its decay.

    Args:
        model: its `head` may learn at another rate than the rest.
        lr: the peak learning rate.
        head_lr: that of the head; None: `lr` too.
        layer_decay: how many times as fast a block learns as the one behind it (BEiT, Bao et al.,
            2022): the last one's rate is `lr` times this, what lies before the first block learns
            slowest, the final norm and all that is not in the ViT at `lr`.
        weight_decay: of what decays.
        no_decay: what does not decay (`benchmark.models.decay`).

    Raises:
        UserError: an entry of `no_decay` is in no parameter's name.
    """
    demand_named(model, no_decay)
    head = {id(p) for p in getattr(model, "head", nn.Module()).parameters()}
    depth = len({each[1] for name, _ in model.named_parameters() if (each := BLOCK.match(name))})
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            rate = lr * layer_decay ** stages_behind(name, depth)
            rate = rate if head_lr is None or id(p) not in head else head_lr
            decay = 0.0 if spared(name, p, no_decay) else weight_decay
            found.setdefault((rate, decay), []).append(p)
    return [
        {"params": ps, "lr": rate, "weight_decay": decay} for (rate, decay), ps in found.items()
    ]


def stages_behind(name: str, depth: int) -> int:
    """Return how many stages of a model's ViT lie behind a parameter, and its own.

    Args:
        name: Of the parameter.
        depth: How many blocks the ViT has.
    """
    if block := BLOCK.match(name):
        return depth - int(block[1])
    return depth + 1 if name.startswith("vit.") and not name.startswith(BEHIND) else 0


def warmup_cosine(
    optimizer: torch.optim.Optimizer,
    *,
    warmup: int,
    steps: int,
    start: float = 0.0,
    epochs: int | None = None,
    drops: Sequence[float] = (),
) -> LambdaLR:
    """Scale every group's rate: linearly up over `warmup` steps, as a cosine down to 0.

    Args:
        optimizer: stepped `steps` times.
        warmup: steps until the rate is at its peak.
        steps: of the whole training.
        start: share of the rate at the first step; from 0 that step is as large as each further
            one adds, as nothing would be learned at a rate of 0.
        epochs: None: the cosine begins after the warm-up and falls with every step. A number: it
            falls once per epoch, from the first epoch on, and the warm-up scales it meanwhile.
            That is mmcv's `CosineAnnealing` by epoch with a linear warm-up by step (AIM), and but
            for one step of its warm-up mmengine's `LinearLR` with `CosineAnnealingLR` (ZeroI2V).
        drops: steps from each of which on the rate is a tenth of what it was (TimeSformer); where
            there are any, there is no cosine.
    """

    def rising(step: int) -> float:
        if step >= warmup:
            return 1.0
        if not start:
            return (step + 1) / (warmup + 1)
        return start + (1 - start) * step / warmup

    def falling(step: int) -> float:
        if drops:
            return float(0.1 ** sum(step >= each for each in drops))
        if epochs is not None:
            return _cosine(step * epochs // max(1, steps), epochs)
        return _cosine(step - warmup, max(1, steps - warmup)) if step >= warmup else 1.0

    return LambdaLR(optimizer, lambda step: rising(step) * falling(step))


def _cosine(done: int, total: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * done / total))
