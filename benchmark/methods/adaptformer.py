"""AdaptFormer (Chen et al., 2022), https://arxiv.org/abs/2205.13535: a bottleneck beside every MLP.

The paper's video models attend over all frames by themselves. On an image ViT the method is blind
to the order of frames, and its row is the control for adapters that are not.
"""

import math

from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.methods._ranges import demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class Bottleneck(nn.Module):
    """A ReLU bottleneck that starts at zero: scale * up(dropout(relu(down(x))))."""

    def __init__(self, dim: int, width: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(dim, width)
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(width, dim)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., D) to tokens (..., D)."""
        y: Tensor = self.scale * self.up(self.dropout(self.act(self.down(x))))
        return y


class AdaptFormerBlock(nn.Module):
    """A frozen timm block with a bottleneck beside its MLP that reads what no norm has touched."""

    def __init__(self, block: Block, adapter: Bottleneck) -> None:
        super().__init__()
        self.block, self.adapt = block, adapter

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b = self.block
        x = x + b.drop_path1(b.ls1(b.attn(b.norm1(x))))
        return x + b.drop_path2(b.ls2(b.mlp(b.norm2(x)))) + self.adapt(x)


def adaptformer(
    model: VideoViT,
    *,
    width: int = 64,
    scale: float = 0.1,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> None:
    """Train a bottleneck of `width` beside the MLP of every block, its output times `scale`.

    Dropout is the video code's; the image code has 0.1. With `batch_norm` the clip's feature passes
    a BatchNorm without parameters before the head, as in both training scripts of the authors.
    ViT-B/16, width 64: 1,189,632 parameters plus the head.
    """
    demand_size("width", width)
    demand_share("dropout", dropout)
    vit = model.vit
    for index, block in blocks(vit):
        vit.blocks[index] = AdaptFormerBlock(
            block, Bottleneck(vit.embed_dim, width, scale, dropout)
        )
    if batch_norm:
        model.norm = nn.BatchNorm1d(vit.embed_dim, affine=False, eps=1e-6)
