"""Convpass (Jie and Deng, 2022), https://arxiv.org/abs/2207.07039: convolutions beside the layers.

Within frames it is to space what ST-Adapter is to time.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from timm.layers.activations import QuickGELU
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.methods._ranges import demand_known, demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}
SITES = ("attn", "mlp")


class Bypass(nn.Module):
    """A bottleneck whose middle is a 3 x 3 convolution over the patches of a frame.

    A prefix token is an image of one pixel: of the kernel only the centre acts on it. The last
    layer starts at zero.
    """

    def __init__(
        self, dim: int, width: int, prefix: int, grid: tuple[int, int], dropout: float
    ) -> None:
        super().__init__()
        self.prefix, self.grid = prefix, grid
        self.down = nn.Linear(dim, width)
        self.act = QuickGELU()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(width, dim)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.xavier_uniform_(self.conv.weight)
        for zero in (self.down.bias, self.conv.bias, self.up.weight, self.up.bias):
            assert zero is not None
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        y = self.act(self.down(x))
        patches = rearrange(y[:, self.prefix :], "b (h w) d -> b d h w", h=self.grid[0])
        parts = [rearrange(self.conv(patches), "b d h w -> b (h w) d")]
        if self.prefix:
            centre = self.conv.weight[:, :, 1, 1]
            parts.insert(0, nn.functional.linear(y[:, : self.prefix], centre, self.conv.bias))
        y = self.up(self.dropout(self.act(torch.cat(parts, dim=1))))
        return y


class ConvpassBlock(nn.Module):
    """A frozen timm block with bypasses beside its attention and its MLP, behind their norms."""

    def __init__(self, block: Block, bypasses: dict[str, Bypass], scale: float) -> None:
        super().__init__()
        self.block, self.scale = block, scale
        self.adapt = nn.ModuleDict(bypasses)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b = self.block
        y = b.norm1(x)
        x = x + b.drop_path1(b.ls1(b.attn(y)))
        if "attn" in self.adapt:
            x = x + b.drop_path1(self.scale * self.adapt["attn"](y))
        y = b.norm2(x)
        x = x + b.drop_path2(b.ls2(b.mlp(y)))
        if "mlp" in self.adapt:
            x = x + b.drop_path2(self.scale * self.adapt["mlp"](y))
        return x


def convpass(
    model: VideoViT,
    *,
    width: int = 8,
    sites: Sequence[str] = SITES,
    scale: float = 1.0,
    dropout: float = 0.1,
) -> None:
    """Train convolutional bypasses at `sites` of every block, each times `scale`.

    The authors choose `scale` per dataset, from 0.01 to 100. ViT-B/16, width 8: 327,552 parameters
    plus the head.
    """
    demand_known("sites", sites, SITES, some=True)
    demand_size("width", width)
    demand_share("dropout", dropout)
    vit = model.vit

    def bypass() -> Bypass:
        grid = vit.patch_embed.grid_size
        return Bypass(vit.embed_dim, width, vit.num_prefix_tokens, grid, dropout)

    for index, block in blocks(vit):
        made = {site: bypass() for site in SITES if site in sites}
        vit.blocks[index] = ConvpassBlock(block, made, scale)
