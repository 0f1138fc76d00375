"""Side4Video (Yao et al., 2023), https://arxiv.org/abs/2311.15769: a network beside the frozen ViT.

It reads every block and is read alone: no gradient passes the ViT. Its batch norms take the
statistics of one device's micro-batch, as the authors' do: how a batch is spread over devices or
accumulation changes what is learned. What they keep for evaluation is learned, too: checkpoints
hold it, and of several devices the first one's counts.

Registers are left out. A ViT without a class token has none to share between frames: there the
attention is over a frame's patches alone, and only the convolutions see time.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from benchmark.methods._ranges import demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": False,
    "needs_class_token": False,
}
HEAD = 64  # channels of an attention's head, whatever the ViT's
DEPTH = 24  # of the tower that the authors' initial values suit, whatever the ViT's


class SideBlock(nn.Module):
    """Convolution over time, attention within frames and an MLP, each added to the stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(width)
        self.conv = nn.Sequential(
            nn.Conv3d(width, width, 1),
            nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), groups=width),
            nn.Conv3d(width, width, 1),
        )
        self.norm2 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, width // HEAD, batch_first=True)
        self.norm3 = nn.BatchNorm3d(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        nn.init.normal_(self.attn.in_proj_weight, std=width**-0.5)
        nn.init.normal_(self.attn.out_proj.weight, std=(DEPTH * width) ** -0.5)
        nn.init.normal_(self.fc1.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(self.fc2.weight, std=(DEPTH * width) ** -0.5)

    def forward(self, x: Tensor, positions: Tensor, token: Tensor | None) -> Tensor:
        """Map the stream (B, d, T, h, w), (h w, d), (B, T, 1, d) to the stream (B, d, T, h, w)."""
        frames, rows = x.shape[2], x.shape[3]
        x = x + self.conv(self.norm1(x))
        patches = rearrange(x, "b d t h w -> (b t) (h w) d")
        query = self.norm2(patches + positions)
        read = query
        if token is not None:
            near = rearrange(neighbours(token), "b t n d -> (b t) n d")
            read = torch.cat([self.norm2(near), query], dim=1)
        patches = patches + self.attn(query, read, read, need_weights=False)[0]
        x = rearrange(patches, "(b t) (h w) d -> b d t h w", t=frames, h=rows)
        y = rearrange(self.norm3(x), "b d t h w -> b t h w d")
        y = self.fc2(nn.functional.gelu(self.fc1(y)))
        return x + rearrange(y, "b t h w d -> b d t h w")


def neighbours(token: Tensor) -> Tensor:
    """Make of tokens (B, T, n, d) half the next frame's and half the last one's, zero outside."""
    later, earlier = token.chunk(2, dim=-1)
    nothing = torch.zeros_like(later[:, :1])
    later = torch.cat([later[:, 1:], nothing], dim=1)
    earlier = torch.cat([nothing, earlier[:, :-1]], dim=1)
    return torch.cat([later, earlier], dim=-1)


class SideNetwork(nn.Module):
    """A stream of patches, without a class token, into which every block of the ViT feeds.

    Args:
        depth: of the ViT.
        dim: its width.
        width: of the stream, d.
        channels: of a frame.
        patch: the ViT's, in pixels.
        grid: patches per frame, down and across.
        prefix: how many tokens come before the patches.
        token: whether the first of them is a class token.
    """

    def __init__(
        self,
        depth: int,
        dim: int,
        width: int,
        *,
        channels: int,
        patch: tuple[int, int],
        grid: tuple[int, int],
        prefix: int,
        token: bool,
    ) -> None:
        super().__init__()
        self.grid, self.prefix, self.token = grid, prefix, token
        self.stem = nn.Conv3d(channels, width, (3, *patch), stride=(1, *patch), padding=(1, 0, 0))
        self.stem_norm = nn.BatchNorm3d(width)
        self.positions = nn.Parameter(0.01 * torch.randn(grid[0] * grid[1], width))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))
        self.linears = nn.ModuleList(nn.Linear(dim, width) for _ in range(depth))
        self.blocks = nn.ModuleList(SideBlock(width) for _ in range(depth))
        self.norm = nn.BatchNorm3d(width)

    def forward(self, video: Tensor, tapped: list[Tensor]) -> Tensor:
        """Map clips (B, C, T, H, W) and every block's tokens (B T, N, D) to features (B, d)."""
        x = self.stem_norm(self.stem(video))
        parts = zip(tapped, self.norms, self.linears, self.blocks, strict=True)
        for tokens, norm, linear, block in parts:
            z = rearrange(linear(norm(tokens)), "(b t) n d -> b t n d", b=video.shape[0])
            patches = rearrange(z[:, :, self.prefix :], "b t (h w) d -> b d t h w", h=self.grid[0])
            x = block(0.5 * x + 0.5 * patches, self.positions, z[:, :, :1] if self.token else None)
        return self.norm(x).mean(dim=(2, 3, 4))


def side4video(model: VideoViT, *, width: int = 320) -> None:
    """Train a network of `width` beside the ViT, whose final norm and pooling are left out.

    The head keeps this suite's initial values; the authors' has PyTorch's. ViT-B/16, width 320:
    21,056,832 parameters plus the head, a linear layer on the `width` channels.
    """
    demand_size("width", width)
    if width % HEAD:
        raise ValueError(f"width is {width}, not a multiple of {HEAD}, the width of a head")
    vit = model.vit
    depth = len(list(blocks(vit)))
    embed = vit.patch_embed
    side = SideNetwork(
        depth,
        vit.embed_dim,
        width,
        channels=embed.proj.in_channels,
        patch=embed.patch_size,
        grid=embed.grid_size,
        prefix=vit.num_prefix_tokens,
        token=vit.has_class_token,
    )
    model.read_by(side, taps=range(1, depth + 1), width=width)
