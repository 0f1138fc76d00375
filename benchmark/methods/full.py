"""Full fine-tuning, of the image ViT as it is or with attention across space and time.

Divided and joint attention are TimeSformer's (Bertasius et al., 2021),
https://arxiv.org/abs/2102.05095. Divided attention may also train alone, in a ViT that is frozen
otherwise: a baseline of adapters' papers, no mode of TimeSformer's code.
"""

import copy
from typing import Any

import torch
from einops import rearrange, repeat
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from benchmark.methods._adapted import in_one
from benchmark.methods._temporal import add_temporal_embedding, mix_over_time
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": {"temporal": ["divided", "joint"]},
    "starts_frozen": {"temporal": [None, "divided"]},
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class DividedBlock(nn.Module):
    """A timm block that attends over time, patch by patch, before it attends within the frame.

    As in TimeSformer the class token (any prefix token) takes no part in the attention over time,
    and there is one per clip: every frame holds a copy, each sees its own frame, and their updates
    are averaged. Attention over time starts as a copy of attention over space, behind a projection
    that starts at zero.
    """

    def __init__(self, block: Block, dim: int, frames: int, prefix: int) -> None:
        super().__init__()
        self.block, self.frames, self.prefix = block, frames, prefix
        self.temporal_norm = copy.deepcopy(block.norm1).requires_grad_(True)
        self.temporal_attn = copy.deepcopy(block.attn).requires_grad_(True)
        self.temporal_proj = nn.Linear(dim, dim)
        nn.init.zeros_(self.temporal_proj.weight)
        nn.init.zeros_(self.temporal_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b, t, p = self.block, self.frames, self.prefix
        x = x + F.pad(self._over_time(x[:, p:]), (0, 0, p, 0))

        y = b.drop_path1(b.ls1(b.attn(b.norm1(x))))
        x = x + _average_prefix(y, t, p)
        x = x + b.drop_path2(b.ls2(b.mlp(b.norm2(x))))
        return x

    def _over_time(self, patches: Tensor) -> Tensor:
        """Map patches (B T, N, D) to what attention over time adds to them."""
        attn, projection = self.temporal_attn, self.temporal_proj
        assert isinstance(attn, Attention)
        mixed = mix_over_time(attn, self.temporal_norm(patches), self.frames)
        if attn.proj_drop.p:
            y: Tensor = projection(attn.proj_drop(attn.proj(mixed)))
            return y
        return in_one(attn.proj, projection, mixed)


def _average_prefix(x: Tensor, frames: int, prefix: int) -> Tensor:
    """Average the first `prefix` tokens of all frames of a clip, in `x` itself, (B T, N, D)."""
    if torch.compiler.is_compiling():  # ONNX has no writing in place of a batch of any size
        clips = x.unflatten(0, (-1, frames))
        mean = clips[:, :, :prefix].mean(1, keepdim=True).expand(-1, frames, -1, -1)
        return torch.cat([mean, clips[:, :, prefix:]], 2).flatten(0, 1)
    if torch.is_grad_enabled() and x.requires_grad:
        averaged: Tensor = _AveragePrefix.apply(x, frames, prefix)
        return averaged
    first = x.unflatten(0, (-1, frames))[:, :, :prefix]
    first.copy_(first.mean(1, keepdim=True))
    return x


class _AveragePrefix(torch.autograd.Function):
    """A projection, and its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: int, prefix: int) -> Tensor:
        ctx.told = frames, prefix
        ctx.mark_dirty(x)
        return _average_prefix(x, frames, prefix)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        copied = gradient.clone(memory_format=torch.contiguous_format)
        return _average_prefix(copied, *ctx.told), None, None


class JointBlock(nn.Module):
    """A timm block to which all tokens of a clip are one sequence, with one class token per clip.

    Between blocks every frame holds a copy of it (of any prefix token), all of them equal.
    """

    def __init__(self, block: Block, frames: int, prefix: int) -> None:
        super().__init__()
        self.block, self.frames, self.prefix = block, frames, prefix

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        t, p = self.frames, self.prefix
        patches = rearrange(x[:, p:], "(b t) n d -> b (t n) d", t=t)
        y = self.block(torch.cat([x[::t, :p], patches], dim=1))
        patches = rearrange(y[:, p:], "b (t n) d -> (b t) n d", t=t)
        return torch.cat([repeat(y[:, :p], "b n d -> (b t) n d", t=t), patches], dim=1)


TEMPORAL = (None, "divided", "joint")


def full(
    model: VideoViT, *, temporal: str | None = None, train: str = "all", time_std: float = 0.0
) -> None:
    """Train everything, or with `train="temporal"` only what divided attention adds.

    With `temporal="divided"` every block also attends over time; with "joint" it attends to all
    tokens of the clip at once. Either has an embedding of time, which starts as noise of standard
    deviation `time_std`, TimeSformer's at zero. ViT-B/16, 8 frames, a head of 400 classes:
    86,107,024 parameters, joint 86,113,168, divided 121,567,120, of which 35,767,696 are temporal.
    """
    if temporal not in TEMPORAL:
        raise ValueError(f"temporal is {temporal!r}; there is 'divided', 'joint', or none")
    if train not in ("all", "temporal"):
        raise ValueError(f"train is {train!r}; there is 'all' or 'temporal'")
    if train == "temporal" and temporal != "divided":
        raise ValueError(f"train is 'temporal', of which temporal={temporal!r} has no attention")
    vit = model.vit
    prefix = vit.num_prefix_tokens
    if temporal:
        add_temporal_embedding(model, skip=prefix, std=time_std)
        for index, block in blocks(vit):
            vit.blocks[index] = (
                DividedBlock(block, vit.embed_dim, model.frames, prefix)
                if temporal == "divided"
                else JointBlock(block, model.frames, prefix)
            )
    if train == "all":
        vit.requires_grad_(True)
