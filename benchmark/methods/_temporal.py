"""Time, for the methods that see it: learned positions, attention across frames, and convolution.

Tokens stay where they are, (B T, N, D), T the slower axis: none of these copies them to another
order. `benchmark.cost.plain` has what each computes as papers write it down.
"""

from typing import Any

import torch
from einops import rearrange
from timm.layers.attention import Attention
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from benchmark.models.video_vit import VideoViT


class TemporalEmbedding(nn.Module):
    """A learned offset per frame, added to every token but the first `skip`.

    Attention across frames is blind to their order without it.
    """

    def __init__(self, frames: int, dim: int, skip: int) -> None:
        super().__init__()
        self.skip = skip
        self.embedding = nn.Parameter(torch.zeros(frames, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        offset: Tensor = self.embedding  # (T, 1, D)
        if self.skip:
            patches = offset.expand(-1, x.shape[1] - self.skip, -1)
            offset = F.pad(patches, (0, 0, self.skip, 0))  # (T, N, D)
        return (x.unflatten(0, (-1, len(self.embedding))) + offset).flatten(0, 1)


def add_temporal_embedding(model: VideoViT, *, skip: int = 0, std: float = 0.0) -> None:
    """Train an embedding of time, added behind the embedding of space, before any first norm.

    It starts at zero, or as normal noise of standard deviation `std`.
    """
    if std < 0:
        raise ValueError(f"time_std is {std}, not at least 0")
    vit = model.vit
    embedding = TemporalEmbedding(model.frames, vit.embed_dim, skip)
    nn.init.normal_(embedding.embedding, std=std)
    vit.norm_pre = nn.Sequential(embedding, vit.norm_pre)


def norm_after_time(model: VideoViT) -> None:
    """Move the final norm behind the average over time; attention pooling needs it where it is."""
    vit = model.vit
    if vit.attn_pool is not None:
        return
    name = "fc_norm" if vit.fc_norm is model.final_norm() else "norm"
    model.norm = getattr(vit, name)
    setattr(vit, name, nn.Identity())


def mix_over_time(attn: Attention, x: Tensor, frames: int) -> Tensor:
    """Map tokens (B T, N, D) as `attn` would, the T tokens at one place being its sequence.

    Its last projection is left out, which may be one product with what follows.

    Each place's heads are heads of one sequence of frames, (B, N heads, T, d), so that short
    sequences make few and large products. They lie in memory as the tokens do, (B, T, N heads, d),
    and so does what comes out: nothing is copied behind the attention, nor saved twice.
    """
    shape = {"t": frames, "h": attn.num_heads, "qkv": 3}
    qkv = rearrange(attn.qkv(x), "(b t) n (qkv h d) -> qkv b t n h d", **shape)
    q, k, v = qkv.unbind(0)
    q, k, v = (
        rearrange(each, "b t n h d -> b t (n h) d").transpose(1, 2)
        for each in (attn.q_norm(q), attn.k_norm(k), v)
    )
    dropout = attn.attn_drop.p if attn.training else 0.0
    mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    y: Tensor = attn.norm(rearrange(mixed, "b (n h) t d -> (b t) n (h d)", h=attn.num_heads))
    if (gate := getattr(attn, "gate", None)) is not None:
        y = y * gate(x).sigmoid()
    return y


class ConvolutionOverTime(nn.Conv3d):
    """A depthwise convolution of size (k, 1, 1) over tokens (B T, N, D), as k products.

    A few multiply-adds per element are no work for a convolution's machinery, which wants channels
    in front of time and space: two copies, and three times as slow on a CPU. Parameters are those
    of the `Conv3d` that papers have here.
    """

    cheap = True  # to compute again (`benchmark.models.lean`)

    def __init__(self, dim: int, kernel: int, frames: int) -> None:
        super().__init__(dim, dim, (kernel, 1, 1), padding=(kernel // 2, 0, 0), groups=dim)
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        weight, bias = self.weight.flatten(1).t(), self.bias  # (k, D), (D,)
        assert bias is not None
        x = x.unflatten(0, (-1, self.frames))
        weight, bias = weight.to(x.dtype), bias.to(x.dtype)  # 16 bits under mixed precision
        y: Tensor = _ConvolutionOverTime.apply(x, weight, bias)
        return y.flatten(0, 1)


class _ConvolutionOverTime(torch.autograd.Function):
    """(B, T, N, D) with weight (k, D) and bias (D,); frames beyond the clip are zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        middle = len(weight) // 2
        y = torch.addcmul(bias, x, weight[middle])
        for tap, here, there in _taps(len(weight), x.shape[1]):
            y[:, here].addcmul_(x[:, there], weight[tap])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        middle = len(weight) // 2
        of_x = gradient * weight[middle] if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight)
        of_weight[middle] = (gradient * x).sum((0, 1, 2))
        for tap, here, there in _taps(len(weight), x.shape[1]):
            if of_x is not None:
                of_x[:, there].addcmul_(gradient[:, here], weight[tap])
            of_weight[tap] = (gradient[:, here] * x[:, there]).sum((0, 1, 2))
        return of_x, of_weight, gradient.sum((0, 1, 2))


def _taps(size: int, frames: int) -> list[tuple[int, slice, slice]]:
    """Return each tap but the middle one: the frames it writes to, and those it reads."""
    found = []
    for tap in range(size):
        offset = tap - size // 2  # frame t reads frame t + offset
        if offset and abs(offset) < frames:
            early, late = slice(0, frames - abs(offset)), slice(abs(offset), frames)
            found.append((tap, late, early) if offset < 0 else (tap, early, late))
    return found
