"""Learned positions in time, for the methods whose paper has them."""

import torch
from einops import rearrange
from torch import Tensor, nn

from benchmark.model import VideoViT


class TemporalEmbedding(nn.Module):
    """A learned offset per frame, added to every token but the first `skip`; zero at the start.

    Attention across frames is blind to their order without it.
    """

    def __init__(self, frames: int, dim: int, skip: int) -> None:
        super().__init__()
        self.skip = skip
        self.embedding = nn.Parameter(torch.zeros(frames, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        skipped, x = x[:, : self.skip], x[:, self.skip :]
        x = rearrange(x, "(b t) n d -> b t n d", t=len(self.embedding)) + self.embedding
        return torch.cat([skipped, rearrange(x, "b t n d -> (b t) n d")], dim=1)


def add_temporal_embedding(model: VideoViT, *, skip: int = 0) -> None:
    """Train an embedding of time, added behind the embedding of space, before any first norm."""
    vit = model.vit
    vit.norm_pre = nn.Sequential(TemporalEmbedding(model.frames, vit.embed_dim, skip), vit.norm_pre)
