"""Learned positions in time, for the methods whose paper has them."""

import torch
from einops import rearrange
from torch import Tensor, nn

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
        skipped, x = x[:, : self.skip], x[:, self.skip :]
        x = rearrange(x, "(b t) n d -> b t n d", t=len(self.embedding)) + self.embedding
        return torch.cat([skipped, rearrange(x, "b t n d -> (b t) n d")], dim=1)


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
