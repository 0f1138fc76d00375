"""Keys and values of other frames, head by head: only what moves is copied."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Shifts = Mapping[int, int]  # frame offset -> number of heads, head 0 first


def shift_heads(qkv: Tensor, frames: int, heads: int, shifts: Shifts) -> Tensor:
    """Move keys and values of `heads` between frames, in `qkv` itself, (B T, N, 3 D), contiguous.

    What frame t + offset holds stands in for what frame t held; where there is no such frame, its
    own stays.
    """
    needs = torch.is_grad_enabled() and qkv.requires_grad
    if needs and not torch.compiler.is_compiling():
        shifted: Tensor = _ShiftHeads.apply(qkv, frames, heads, dict(shifts))
        return shifted
    for heads_, to, source in _moves(qkv, frames, heads, shifts):
        heads_[:, to] = heads_[:, source].clone()
    return qkv


class _ShiftHeads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, frames: int, heads: int, shifts: Shifts) -> Tensor:
        ctx.told = frames, heads, shifts
        ctx.mark_dirty(qkv)
        return shift_heads(qkv, frames, heads, shifts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        for heads, to, source in _moves(gradient, *ctx.told):
            moved = heads[:, to].clone()
            heads[:, to] = 0
            heads[:, source] += moved
        return gradient, None, None, None


def _moves(
    qkv: Tensor, frames: int, heads: int, shifts: Shifts
) -> Iterator[tuple[Tensor, slice, slice]]:
    """Yield the keys and values of some heads (B, T, N, 2, heads, d), and which frames move where.

    They are a view.
    """
    tokens, width = qkv.shape[1], qkv.shape[2] // (3 * heads)
    kv = qkv.view(-1, frames, tokens, 3, heads, width)[:, :, :, 1:]
    head = 0
    for offset, count in shifts.items():
        reach = abs(offset)
        if count and reach < frames and offset:
            early, late = slice(0, frames - reach), slice(reach, frames)
            to, source = (late, early) if offset < 0 else (early, late)
            yield kv[..., head : head + count, :], to, source
        head += count
