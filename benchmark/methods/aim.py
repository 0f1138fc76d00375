"""AIM, adapted image models (Yang et al., 2023), https://arxiv.org/abs/2302.03024."""

from collections.abc import Sequence
from fractions import Fraction

import torch
from timm.layers.attention import Attention
from timm.layers.drop import DropPath
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.methods._adapted import in_one
from benchmark.methods._ranges import demand_known, demand_share, width_of
from benchmark.methods._temporal import add_temporal_embedding, mix_over_time
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": {"adapters": ["temporal"]},
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}

ADAPTERS = ("temporal_in", "temporal", "spatial", "joint")


class Adapter(nn.Module):
    """A bottleneck with an exact GELU that starts at zero, with or without a skip around it."""

    def __init__(self, dim: int, width: int, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.down = nn.Linear(dim, width)
        self.act = nn.GELU()
        self.up = nn.Linear(width, dim)
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., D) to tokens (..., D)."""
        y: Tensor = self.up(self.act(self.down(x)))
        return x + y if self.skip else y

    def behind(self, linear: nn.Linear, x: Tensor) -> Tensor:
        """Return this adapter of `linear`'s output, without a skip: both are one product first.

        A narrow matrix stands in for a square one, forward and backward, and nothing between the
        two is saved.
        """
        y: Tensor = self.up(self.act(in_one(linear, self.down, x)))
        return y


class AIMBlock(nn.Module):
    """A frozen timm block, its attention used twice: first across frames, then within them."""

    def __init__(
        self, block: Block, adapters: dict[str, Adapter], frames: int, scale: float, drop: float
    ) -> None:
        super().__init__()
        self.block, self.frames, self.scale = block, frames, scale
        self.adapt = nn.ModuleDict(adapters)
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b, adapt = self.block, self.adapt
        if "temporal" in adapt:
            y = b.norm1(x)
            y = adapt["temporal_in"](y) if "temporal_in" in adapt else y
            x = x + self.drop_path(self._across_frames(y))

        y = b.ls1(b.attn(b.norm1(x)))
        x = x + b.drop_path1(adapt["spatial"](y) if "spatial" in adapt else y)

        y = b.norm2(x)
        x = x + b.drop_path2(b.ls2(b.mlp(y)))
        if "joint" in adapt:
            x = x + self.drop_path(self.scale * adapt["joint"](y))
        return x

    def _across_frames(self, y: Tensor) -> Tensor:
        """Map tokens (B T, N, D) through the attention across frames and its adapter."""
        b, adapter = self.block, self.adapt["temporal"]
        assert isinstance(adapter, Adapter) and isinstance(b.attn, Attention)
        mixed = mix_over_time(b.attn, y, self.frames)
        if isinstance(b.ls1, nn.Identity) and not b.attn.proj_drop.p:
            return adapter.behind(b.attn.proj, mixed)
        adapted: Tensor = adapter(b.ls1(b.attn.proj_drop(b.attn.proj(mixed))))
        return adapted


def aim(
    model: VideoViT,
    *,
    adapters: Sequence[str] = ("temporal", "spatial", "joint"),
    ratio: float | Fraction = 0.25,
    scale: float = 0.5,
    drop_path: float = 0.2,
    time_std: float = 0.0,
) -> None:
    """Train `adapters`, each `ratio` times as wide as the ViT, in every block.

    `temporal` gives the block a second pass of its attention, across frames, and the model an
    embedding of time; `temporal_in` (Something-Something) comes before that pass, `joint` runs
    beside the MLP, times `scale`. `drop_path` grows linearly over the blocks up to its value, on
    the temporal and joint branches. The final norm trains too. ViT-B/16, 8 frames, 400 classes:
    10,966,672 parameters with three adapters, 14,517,136 with four. The embedding starts as
    noise of standard deviation `time_std`, the authors' at zero.
    """
    demand_known("adapters", adapters, ADAPTERS)
    if "temporal_in" in adapters and "temporal" not in adapters:
        raise ValueError("adapters has temporal_in without temporal, whose input it adapts")
    vit = model.vit
    width = width_of(ratio, vit.embed_dim)
    demand_share("drop_path", drop_path)

    def adapter(name: str) -> Adapter:
        return Adapter(vit.embed_dim, width, skip=name in ("temporal_in", "spatial"))

    rates = torch.linspace(0, drop_path, len(vit.blocks), device="cpu").tolist()
    for index, block in blocks(vit):
        made = {name: adapter(name) for name in ADAPTERS if name in adapters}
        vit.blocks[index] = AIMBlock(block, made, model.frames, scale, rates[index])
    if "temporal" in adapters:
        add_temporal_embedding(model, std=time_std)
    model.final_norm().requires_grad_(True)
