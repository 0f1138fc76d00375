"""Every layer as its paper writes it down, whatever form this suite computes it in.

What is fast is measured against these, in time (`benchmark bench`) and in outputs and gradients
(the tests). Each takes the parameters of the layer that it stands in for, under the same names.
"""

import copy
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from benchmark.methods._temporal import TemporalEmbedding
from benchmark.methods.aim import AIMBlock
from benchmark.methods.full import DividedBlock
from benchmark.methods.m2_clip import TemporalPath
from benchmark.methods.st_adapter import STAdapter
from benchmark.methods.vita_clip import PromptedBlock
from benchmark.methods.zeroi2v import LinearAdapter, ShiftedQKV
from benchmark.models.activations import QuickGELU
from benchmark.models.video_vit import VideoViT


def plain(model: VideoViT) -> VideoViT:
    """Return a copy of `model` that computes the same in the papers' form; it shares no tensor."""
    return made_plain(copy.deepcopy(model))


def made_plain(model: VideoViT) -> VideoViT:
    """Return `model` itself, which computes the same in the papers' form from here on."""
    for module in model.modules():
        for kind, forward in FORMS.items():
            if isinstance(module, kind):
                module.forward = MethodType(forward, module)
    return model


def _temporal_embedding(self: TemporalEmbedding, x: Tensor) -> Tensor:
    skipped, x = x[:, : self.skip], x[:, self.skip :]
    x = rearrange(x, "(b t) n d -> b t n d", t=len(self.embedding)) + self.embedding
    return torch.cat([skipped, rearrange(x, "b t n d -> (b t) n d")], dim=1)


def _st_adapter(self: STAdapter, x: Tensor) -> Tensor:
    """Pan et al.: a Conv3d on (B, W, T, H, W), between two copies."""
    y = self.down(x[:, self.prefix :])
    y = rearrange(y, "(b t) (h w) d -> b d t h w", **self.fold)
    y = nn.Conv3d.forward(self.conv, y)
    y = self.up(rearrange(y, "b d t h w -> (b t) (h w) d"))
    return torch.cat([x[:, : self.prefix], x[:, self.prefix :] + y], dim=1)


def _temporal_path(self: TemporalPath, x: Tensor) -> Tensor:
    """Wang et al.: a convolution on (B, W, T, N, 1), between two copies."""
    conv: Any = self.conv
    y = rearrange(self.down(x), "(b t) n d -> b d t n 1", t=conv.frames)
    y = self.up(rearrange(nn.Conv3d.forward(conv, y), "b d t n 1 -> (b t) n d"))
    return y


def _aim_block(self: AIMBlock, x: Tensor) -> Tensor:
    """Yang et al.: tokens are copied to (B N, T, D) to attend over time, and back."""
    b, adapt = self.block, self.adapt
    if "temporal" in adapt:
        y = b.norm1(rearrange(x, "(b t) n d -> (b n) t d", t=self.frames))
        y = adapt["temporal_in"](y) if "temporal_in" in adapt else y
        y = adapt["temporal"](b.ls1(b.attn(y)))
        x = x + self.drop_path(rearrange(y, "(b n) t d -> (b t) n d", n=x.shape[1]))

    y = b.ls1(b.attn(b.norm1(x)))
    x = x + b.drop_path1(adapt["spatial"](y) if "spatial" in adapt else y)

    y = b.norm2(x)
    x = x + b.drop_path2(b.ls2(b.mlp(y)))
    if "joint" in adapt:
        x = x + self.drop_path(self.scale * adapt["joint"](y))
    return x


def _divided_block(self: DividedBlock, x: Tensor) -> Tensor:
    """Bertasius et al.: tokens are copied to (B N, T, D) to attend over time, and back."""
    b, t, p = self.block, self.frames, self.prefix
    y = rearrange(x[:, p:], "(b t) n d -> (b n) t d", t=t)
    y = self.temporal_proj(self.temporal_attn(self.temporal_norm(y)))
    y = rearrange(y, "(b n) t d -> (b t) n d", n=x.shape[1] - p)
    x = torch.cat([x[:, :p], x[:, p:] + y], dim=1)

    y = b.drop_path1(b.ls1(b.attn(b.norm1(x))))
    once = reduce(y[:, :p], "(b t) n d -> b n d", "mean", t=t)
    x = x + torch.cat([repeat(once, "b n d -> (b t) n d", t=t), y[:, p:]], dim=1)
    x = x + b.drop_path2(b.ls2(b.mlp(b.norm2(x))))
    return x


def _linear_adapter(self: LinearAdapter, x: Tensor) -> Tensor:
    return x + self.scale * self.up(self.dropout(self.down(x)))


def _quick_gelu(self: QuickGELU, x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _shifted_qkv(self: ShiftedQKV, x: Tensor) -> Tensor:
    """Li et al.: keys and values are cloned, and shifted heads assigned from what was there."""
    t = self.frames
    q, k, v = self.qkv(x).chunk(3, dim=-1)

    def shifted(whole: Tensor) -> Tensor:
        old = rearrange(whole, "(b t) n (h d) -> b t n h d", t=t, h=self.heads)
        new, head = old.clone(), 0
        for offset, count in self.shifts.items():
            heads, reach = slice(head, head + count), min(abs(offset), t)
            if offset < 0:
                new[:, reach:, :, heads] = old[:, : t - reach, :, heads]
            else:
                new[:, : t - reach, :, heads] = old[:, reach:, :, heads]
            head += count
        return rearrange(new, "b t n h d -> (b t) n (h d)")

    return torch.cat([q, shifted(k), shifted(v)], dim=-1)


def _prompted_block(self: PromptedBlock, x: Tensor) -> Tensor:
    """Wasim et al.: global prompts pass the MLP, too, before the next block has its own."""
    b, count = self.block, x.shape[1]
    y = torch.cat([x, self.prompts(x)], dim=1)
    y = y + b.drop_path1(b.ls1(b.attn(b.norm1(y))))
    y = y[:, : count + len(self.global_prompts)]
    y = y + b.drop_path2(b.ls2(b.mlp(b.norm2(y))))
    return y[:, :count]


FORMS: dict[type, Callable[[Any, Tensor], Tensor]] = {
    TemporalEmbedding: _temporal_embedding,
    STAdapter: _st_adapter,
    TemporalPath: _temporal_path,
    AIMBlock: _aim_block,
    DividedBlock: _divided_block,
    PromptedBlock: _prompted_block,
    LinearAdapter: _linear_adapter,
    ShiftedQKV: _shifted_qkv,
    QuickGELU: _quick_gelu,
}
