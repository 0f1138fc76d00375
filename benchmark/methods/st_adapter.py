"""ST-Adapter (Pan et al., 2022), https://arxiv.org/abs/2206.13559.

The paper puts one adapter before the attention of every block. The authors' released code has it
before the MLP (Kinetics) or before both (Something-Something): recipes `st_adapter_mlp` and
`st_adapter_both`. In the last block an adapter before the MLP changes patches after the class token
has read them for the last time, so it cannot matter to a ViT that reads out its class token.
"""

from collections.abc import Mapping, Sequence

from einops import rearrange
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._ranges import demand_known, demand_size
from benchmark.methods._temporal import ConvolutionOverTime, norm_after_time
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}

SITES = ("attn", "mlp")


class STAdapter(nn.Module):
    """A residual bottleneck whose middle is a depthwise convolution over time and space.

    There is no activation. Convolution and biases start at zero: the adapter starts as identity.
    """

    def __init__(
        self, dim: int, width: int, kernel: Sequence[int], prefix: int, fold: dict[str, int]
    ) -> None:
        super().__init__()
        self.prefix, self.fold = prefix, fold
        self.over_time_only = tuple(kernel[1:]) == (1, 1)
        self.down = nn.Linear(dim, width)
        if self.over_time_only:
            self.conv: nn.Conv3d = ConvolutionOverTime(width, kernel[0], fold["t"])
        else:
            padding = tuple(k // 2 for k in kernel)
            self.conv = nn.Conv3d(width, width, tuple(kernel), padding=padding, groups=width)
        self.up = nn.Linear(width, dim)
        for zero in (self.down.bias, self.conv.weight, self.conv.bias, self.up.bias):
            assert zero is not None
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D); prefix tokens pass through."""
        y = self.down(x)
        if self.over_time_only:
            y = self.conv(y)
        else:
            patches = rearrange(y[:, self.prefix :], "(b t) (h w) d -> b d t h w", **self.fold)
            patches = rearrange(self.conv(patches), "b d t h w -> (b t) (h w) d")
            y = F.pad(patches, (0, 0, self.prefix, 0))
        y = self.up(y)
        y[:, : self.prefix] = 0
        return x + y


class STBlock(nn.Module):
    """A frozen timm block with adapters of tokens before its attention, its MLP, or both."""

    def __init__(self, block: Block, adapters: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.block = block
        self.adapt = nn.ModuleDict({site: adapters.get(site, nn.Identity()) for site in SITES})

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b = self.block
        x = self.adapt["attn"](x)
        x = x + b.drop_path1(b.ls1(b.attn(b.norm1(x))))
        x = self.adapt["mlp"](x)
        x = x + b.drop_path2(b.ls2(b.mlp(b.norm2(x))))
        return x


def st_adapter(
    model: VideoViT,
    *,
    width: int = 384,
    kernel: Sequence[int] = (3, 1, 1),
    sites: Sequence[str] = ("attn",),
    layers: int | Sequence[int] | None = None,
) -> None:
    """Train a spatio-temporal adapter at `sites` of all blocks, or of some.

    `layers` are the last so many, or the numbers of the blocks, from 0. The frozen final norm moves
    behind the average over time, as in the authors' code. ViT-B/16, width 384, one adapter per
    block: 7,110,144 parameters plus the head.
    """
    vit = model.vit
    depth = len(vit.blocks)
    demand_known("sites", sites, SITES)
    demand_size("width", width)
    if len(kernel) != 3 or any(k < 1 or k % 2 == 0 for k in kernel):
        raise ValueError(f"kernel is {list(kernel)}; it takes three odd sizes: time, height, width")
    height, width_ = vit.patch_embed.grid_size
    fold = {"t": model.frames, "h": height, "w": width_}
    adapted = _numbers(layers, depth)

    def adapter() -> STAdapter:
        return STAdapter(vit.embed_dim, width, kernel, vit.num_prefix_tokens, fold)

    for index, block in blocks(vit):
        if index in adapted:
            vit.blocks[index] = STBlock(block, {site: adapter() for site in sites})
    norm_after_time(model)


def _numbers(layers: int | Sequence[int] | None, depth: int) -> Sequence[int]:
    """Return the numbers of the blocks that `layers` are, of `depth`."""
    if layers is None:
        return range(depth)
    if isinstance(layers, int):
        numbers: Sequence[int] = range(depth - layers, depth)
        known = 0 <= layers <= depth
    else:
        numbers = layers
        known = set(layers) <= set(range(depth)) and len(set(layers)) == len(layers)
    if not known:
        raise ValueError(f"layers is {layers}; this ViT has {depth} blocks, numbered from 0")
    return numbers
