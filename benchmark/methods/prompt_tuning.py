"""Visual prompt tuning, VPT (Jia et al., 2022), https://arxiv.org/abs/2203.12119.

The paper tunes image models. Here every frame of a clip sees the same prompts, so the method is
blind to the order of frames.
"""

import math

import torch
from torch import Tensor, nn

from benchmark.methods._ranges import demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class Prompts(nn.Module):
    """Learned tokens, put between the prefix tokens and the patches."""

    def __init__(self, tokens: int, dim: int, prefix: int, bound: float, dropout: float) -> None:
        super().__init__()
        self.prefix = prefix
        self.tokens = nn.Parameter(torch.empty(1, tokens, dim).uniform_(-bound, bound))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N + prompts, D)."""
        prompts = self.dropout(self.tokens).expand(x.shape[0], -1, -1)  # len() is no symbol
        return torch.cat([x[:, : self.prefix], prompts, x[:, self.prefix :]], dim=1)


class Removal(nn.Module):
    """The counterpart of `Prompts`."""

    def __init__(self, tokens: int, prefix: int) -> None:
        super().__init__()
        self.tokens, self.prefix = tokens, prefix

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N + prompts, D) to tokens (B T, N, D)."""
        return torch.cat([x[:, : self.prefix], x[:, self.prefix + self.tokens :]], dim=1)


def prompt_tuning(
    model: VideoViT, *, tokens: int = 50, deep: bool = True, dropout: float = 0.0
) -> None:
    """Train `tokens` prompts before every block (deep) or before the first one only (shallow).

    Deep prompts replace those of the block before. They come behind the ViT's first norm, where it
    has one, and are gone before the final norm and the pooling. 50 tokens in ViT-B/16: 460,800
    parameters deep, 38,400 shallow, plus the head.
    """
    demand_size("tokens", tokens)
    demand_share("dropout", dropout)
    vit = model.vit
    patch = math.prod(vit.patch_embed.patch_size) * vit.patch_embed.proj.in_channels
    bound = math.sqrt(6 / (patch + vit.embed_dim))  # the paper's: Xavier's, of a patch's embedding
    prefix = vit.num_prefix_tokens
    last = len(vit.blocks) - 1
    for index, block in blocks(vit):
        parts: list[nn.Module] = [block]
        if deep or index == 0:
            parts.insert(0, Prompts(tokens, vit.embed_dim, prefix, bound, dropout))
        if deep or index == last:
            parts.append(Removal(tokens, prefix))
        vit.blocks[index] = nn.Sequential(*parts)
