"""M2-CLIP's TED-adapter (Wang et al., 2024), https://arxiv.org/abs/2401.11649: frame differences.

ST-Adapter with a second path over the differences of neighbouring frames. This is the paper's
visual side, read out by its classification branch; its text branch and losses are left out.
"""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._ranges import demand_size
from benchmark.methods._temporal import ConvolutionOverTime, norm_after_time
from benchmark.methods.st_adapter import SITES, STBlock
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class Bottleneck(nn.Module):
    """A linear bottleneck around a depthwise convolution that starts, as all biases, at zero."""

    def __init__(self, dim: int, width: int, conv: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.down, self.conv, self.up = nn.Linear(dim, width), conv, nn.Linear(width, dim)
        for zero in (self.down.bias, conv.weight, conv.bias, self.up.bias):
            assert zero is not None
            nn.init.zeros_(zero)


class TemporalPath(Bottleneck):
    """Convolves each place over time."""

    def __init__(self, dim: int, width: int, frames: int) -> None:
        super().__init__(dim, width, ConvolutionOverTime(width, 3, frames))

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        y: Tensor = self.up(self.conv(self.down(x)))
        return y


class DifferencePath(Bottleneck):
    """Convolves what changed since the frame before over space; before the first nothing did."""

    def __init__(self, dim: int, width: int, frames: int, grid: tuple[int, int]) -> None:
        super().__init__(dim, width, nn.Conv2d(width, width, 3, padding=1, groups=width))
        self.frames, self.grid = frames, grid

    def forward(self, x: Tensor) -> Tensor:
        """Map patches (B T, N, D) to patches (B T, N, D)."""
        x = x.unflatten(0, (-1, self.frames))
        change = F.pad(x[:, 1:] - x[:, :-1], (0, 0, 0, 0, 1, 0)).flatten(0, 1)
        y = rearrange(self.down(change), "b (h w) d -> b d h w", h=self.grid[0])
        y = self.up(rearrange(self.conv(y), "b d h w -> b (h w) d"))
        return y


class TEDAdapter(nn.Module):
    """Both paths beside the residual stream: all tokens over time, patches' changes over space."""

    def __init__(self, time: TemporalPath, change: DifferencePath | None, prefix: int) -> None:
        super().__init__()
        self.time, self.change, self.prefix = time, change, prefix

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        y: Tensor = x + self.time(x)
        if self.change is not None:
            y = y + F.pad(self.change(x[:, self.prefix :]), (0, 0, self.prefix, 0))
        return y


def m2_clip(model: VideoViT, *, width: int = 384, sites: Sequence[str] = SITES) -> None:
    """Train a TED-adapter at `sites` of every block; the frozen final norm moves behind time.

    Before the last MLP nothing reads changed patches where the ViT reads out its class token: there
    is no difference path there. ViT-B/16, width 384, before attention and MLP: 27,901,056
    parameters plus the head, of 28,495,872 in the authors' code, which has that path.
    """
    if unknown := set(sites) - set(SITES):
        raise ValueError(f"sites has {sorted(unknown)}; there are {', '.join(SITES)}")
    demand_size("width", width)
    vit, last = model.vit, len(model.vit.blocks) - 1
    dim, frames, grid = vit.embed_dim, model.frames, vit.patch_embed.grid_size

    def adapter(site: str, index: int) -> TEDAdapter:
        unread = (site, index, vit.global_pool) == ("mlp", last, "token")
        change = None if unread else DifferencePath(dim, width, frames, grid)
        return TEDAdapter(TemporalPath(dim, width, frames), change, vit.num_prefix_tokens)

    for index, block in blocks(vit):
        vit.blocks[index] = STBlock(block, {site: adapter(site, index) for site in sites})
    norm_after_time(model)
