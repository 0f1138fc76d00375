"""SSF, scaling and shifting features (Lian et al., 2022), https://arxiv.org/abs/2210.08823."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.methods._adapted import bias_of, replaced, two_layers
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": False,
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}


class Scaled(nn.Module):
    """A frozen layer whose outputs are scaled and shifted, channel by channel.

    Args:
        layer: linear, a convolution or a norm.
        channels: of its output, the last axis of tokens, the second of a convolution's output.
    """

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.layer = layer
        self.scale = nn.Parameter(torch.empty(channels).normal_(1, 0.02))
        self.shift = nn.Parameter(torch.empty(channels).normal_(0, 0.02))

    @property
    def in_channels(self) -> int:
        """Channels that a convolution reads."""
        return int(self.layer.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map what the layer maps to the same shape."""
        after = (1, 1) if isinstance(self.layer, nn.Conv2d) else ()
        y: Tensor = self.layer(x) * self.scale.view(-1, *after) + self.shift.view(-1, *after)
        return y

    @torch.no_grad()
    def merge(self) -> nn.Module:
        """Return one layer that does the same, computed in float32, in the layer's dtype."""
        layer: Any = self.layer
        weight, scale = layer.weight.float(), self.scale.float()
        bias = scale * bias_of(layer) + self.shift.float()
        merged: nn.Module = replaced(layer, weight * scale.view(-1, *[1] * (weight.ndim - 1)), bias)
        return merged


def ssf(model: VideoViT) -> None:
    """Train a scale and a shift of each channel behind every layer of the ViT, norms included.

    They start near one and zero, at random as the authors': not as the frozen model. CLIP's norm
    before the blocks has them, too, which the paper's ViTs lack. ViT-B/16: 205,824 parameters plus
    the head, CLIP's 207,360; none is left after merging.
    """
    vit = model.vit
    dim = vit.embed_dim
    vit.patch_embed.proj = Scaled(vit.patch_embed.proj, dim)
    for _, block in blocks(vit):
        attn, mlp = block.attn, block.mlp
        fc1, fc2 = two_layers(mlp, "ssf")
        block.norm1, block.norm2 = Scaled(block.norm1, dim), Scaled(block.norm2, dim)
        attn.qkv, attn.proj = Scaled(attn.qkv, 3 * dim), Scaled(attn.proj, dim)
        mlp.fc1, mlp.fc2 = Scaled(fc1, fc1.out_features), Scaled(fc2, dim)
    for name in ("norm_pre", "norm", "fc_norm"):
        if isinstance(norm := getattr(vit, name), nn.LayerNorm):
            setattr(vit, name, Scaled(norm, dim))
