"""Attentive probe (Bardes et al., 2024), https://arxiv.org/abs/2404.08471: a query over all tokens.

V-JEPA's way to judge a frozen encoder; V-JEPA 2's (Assran et al., 2025,
https://arxiv.org/abs/2506.09985) has blocks of self-attention before it.
"""

import math
from functools import partial
from typing import cast

import torch
from einops import rearrange
from timm.layers.mlp import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._ranges import demand_size
from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": False,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": False,
    "needs_class_token": False,
}


class CrossAttention(nn.Module):
    """Queries attend to tokens; what the heads find is not projected once more."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map queries (1, Q, D), the same for all clips, and tokens (B, M, D) to (B, Q, D)."""
        q = rearrange(
            self.q(x).expand(tokens.shape[0], -1, -1), "b q (h d) -> b h q d", h=self.heads
        )
        k, v = rearrange(self.kv(tokens), "b m (kv h d) -> kv b h m d", kv=2, h=self.heads)
        return rearrange(F.scaled_dot_product_attention(q, k, v), "b h q d -> b q (h d)")


class CrossBlock(nn.Module):
    """Attention from a query that is not normalised to tokens that are, then an MLP."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = CrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map queries (1, Q, D), the same for all clips, and tokens (B, M, D) to (B, Q, D)."""
        x = x + self.attn(x, self.norm1(tokens))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class Pooler(nn.Module):
    """A learned query reads all tokens of a clip; blocks of self-attention beside it.

    Version 1 has those behind, where they see nothing but the query, version 2 before, over all
    tokens.
    """

    def __init__(self, dim: int, heads: int, depth: int, version: int, frames: int) -> None:
        super().__init__()
        self.frames, self.version = frames, version
        norm = partial(nn.LayerNorm, eps=1e-5)
        self.blocks = nn.Sequential(
            *(Block(dim, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth - 1))
        )
        self.query = nn.Parameter(torch.empty(1, 1, dim))
        self.cross = CrossBlock(dim, heads)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Start as the authors: the deeper a layer, the less its last linear layers add."""
        nn.init.trunc_normal_(self.query, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for index, block in enumerate(self.blocks, start=2 if self.version == 1 else 1):
            for layer in (block.attn.proj, block.mlp.fc2):
                assert isinstance(layer, nn.Linear)
                layer.weight.div_(math.sqrt(2 * index))
        # version 2 counts the cross block as the last of the others
        index = 1 if self.version == 1 else max(1, len(self.blocks))
        self.cross.mlp.fc2.weight.div_(math.sqrt(2 * index))

    def forward(self, video: Tensor | None, tokens: list[Tensor]) -> Tensor:
        """Map the last tokens (B T, N, D) to the clip's feature (B, D)."""
        x = rearrange(tokens[-1], "(b t) n d -> b (t n) d", t=self.frames)
        if self.version == 1:
            found = self.blocks(self.cross(self.query, x))
        else:
            found = self.cross(self.query, self.blocks(x))
        feature: Tensor = found[:, 0]
        return feature


def attentive_probe(
    model: VideoViT, *, version: int = 1, depth: int = 1, heads: int | None = None
) -> None:
    """Train a query that attends to what the frozen ViT makes of all frames, behind its last norm.

    `depth` counts the query's block and `depth` - 1 of self-attention; V-JEPA (`version` 1) has
    depth 1, where the versions are one but for a projection that V-JEPA's code trains and never
    applies, and this does not have. V-JEPA 2 has depth 4, and 16 heads; `heads` None are the ViT's.
    How a version 1 of more depth starts is from memory of the code. On the tokens of an image ViT
    the probe is blind to the order of frames. ViT-B/16: 6,498,048 parameters (depth 1), 27,761,664
    (depth 4), plus the head.
    """
    if version not in (1, 2):
        raise ValueError(f"version is {version}; there are 1 and 2")
    demand_size("depth", depth)
    dim = model.vit.embed_dim
    heads = cast(int, model.vit.blocks[0].attn.num_heads) if heads is None else heads
    demand_size("heads", heads)
    if dim % heads:
        raise ValueError(f"heads is {heads}, which does not divide the ViT's width of {dim}")
    pooler = Pooler(dim, heads, depth, version, model.frames)
    model.read_by(pooler, taps=(len(model.vit.blocks) + 1,), width=dim)
