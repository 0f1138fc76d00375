"""D2ST-Adapter (Pei et al., 2025), https://arxiv.org/abs/2312.01431: deformable attention, twice.

Every token of the clip attends to a few points of it, whose places its neighbourhood moves: once
points dense in space, once dense in time. The paper is about few shots and matches frames; here the
model is read out by a linear head, a branch of the authors' code.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._ranges import demand_size, width_of
from benchmark.methods._temporal import add_temporal_embedding
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class DeformableAttention(nn.Module):
    """Attention of all tokens of a clip to points sampled between its patches.

    A strided convolution lays a grid of points over time, height and width. From the queries around
    a point it tells, for each group of channels, how far the point moves: at most one cell, and at
    most half of the clip. What is read there, zeros outside the clip, gives keys and values.
    """

    centres: Tensor
    reach: Tensor

    def __init__(
        self,
        dim: int,
        heads: int,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        size: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        each = dim // heads
        self.norm = nn.LayerNorm(dim)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)
        self.around = nn.Conv3d(each, each, kernel, stride, groups=each)
        self.around_norm = nn.LayerNorm(each)
        self.move = nn.Linear(each, 3, bias=False)
        points = [(n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True)]
        centres = [(2 * torch.arange(n) + 1) / n - 1 for n in points]
        self.register_buffer(
            "centres", torch.stack(torch.meshgrid(*centres, indexing="ij"), -1), persistent=False
        )
        self.register_buffer(
            "reach", torch.tensor([min(1.0, 2 / n) for n in points]), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, T, N, W) to tokens (B, T, N, W)."""
        x = self.norm(x)
        q = self.q(x)
        there = self.places(self._volume(q))  # (B G, points in time, height and width, 3)
        there = there.flip(-1).to(x.dtype)  # width, height, time
        read = F.grid_sample(self._volume(x), there, align_corners=True)
        read = rearrange(read, "(b g) d t h w -> b (t h w) (g d)", g=self.heads)
        q, k, v = (
            rearrange(each, "b n (h d) -> b h n d", h=self.heads)
            for each in (q.flatten(1, 2), self.k(read), self.v(read))
        )
        y = rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)")
        y = self.proj(y).unflatten(1, x.shape[1:3])
        return y

    def places(self, queries: Tensor) -> Tensor:
        """Map queries (B G, W / G, T, H, W) to the places of points, (..., 3) from -1 to 1."""
        around = rearrange(self.around(queries), "b d t h w -> b t h w d")
        moved: Tensor = self.move(F.gelu(self.around_norm(around))).tanh()
        return self.centres + moved * self.reach

    def _volume(self, x: Tensor) -> Tensor:
        """Return the patches of tokens (B, T, N, W) by groups, (B G, W / G, T, H, W)."""
        patches = x[:, :, -self.size[1] * self.size[2] :]
        shape = {"g": self.heads, "h": self.size[1]}
        return rearrange(patches, "b t (h w) (g d) -> (b g) d t h w", **shape)


class D2STAdapter(nn.Module):
    """A bottleneck with both attentions in it, the mean of which is added to the tokens.

    The last layer starts at zero. There is an activation behind it.
    """

    def __init__(
        self, dim: int, width: int, size: tuple[int, int, int], attentions: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.size = size
        self.down = nn.Linear(dim, width)
        self.conv = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.space, self.time = attentions
        self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D); the convolution passes over prefixes."""
        t, h, w = self.size
        z = F.gelu(self.down(x)).unflatten(0, (-1, t))
        patches = rearrange(z[:, :, -h * w :], "b t (h w) d -> b d t h w", h=h)
        added = rearrange(self.conv(patches), "b d t h w -> b t (h w) d")
        z = z + F.pad(added, (0, 0, z.shape[2] - h * w, 0))
        z = z + (self.space(z) + self.time(z)) / 2
        y: Tensor = x + F.gelu(self.up(F.gelu(z))).flatten(0, 1)
        return y


def d2st_adapter(
    model: VideoViT,
    *,
    ratio: float = 0.25,
    heads: int = 4,
    space_kernel: Sequence[int] = (4, 5, 5),
    space_stride: Sequence[int] = (4, 3, 3),
    time_kernel: Sequence[int] = (1, 7, 7),
    time_stride: Sequence[int] = (1, 7, 7),
) -> None:
    """Train an adapter behind every block, the class token, the final norm, an embedding of time.

    Kernels and strides, over time, height and width, lay the points of the attention in space and
    of that in time: 32 each with 8 frames of 14 x 14 patches. They must fit the clip; the paper's
    take at least 4 frames of 7 x 7 patches. ViT-B/16, 8 frames: 7,282,752 parameters plus the head.
    """
    vit, frames = model.vit, model.frames
    dim, width = vit.embed_dim, width_of(ratio, vit.embed_dim)
    demand_size("heads", heads)
    if width % heads:
        raise ValueError(f"heads is {heads}, which does not divide the adapter's width of {width}")
    height, width_ = vit.patch_embed.grid_size
    size = (frames, height, width_)
    laid = {
        "space": (tuple(space_kernel), tuple(space_stride)),
        "time": (tuple(time_kernel), tuple(time_stride)),
    }
    for name, (kernel, stride) in laid.items():
        if len(kernel) != 3 or any(not 1 <= k <= n for k, n in zip(kernel, size, strict=True)):
            raise ValueError(
                f"{name}_kernel is {list(kernel)}; it takes three sizes, of at most the clip's "
                f"{list(size)} frames and patches"
            )
        if len(stride) != 3 or min(stride) < 1:
            raise ValueError(f"{name}_stride is {list(stride)}; it takes three, each at least 1")

    for index, block in blocks(vit):
        attentions = [DeformableAttention(width, heads, *each, size) for each in laid.values()]
        vit.blocks[index] = nn.Sequential(block, D2STAdapter(dim, width, size, attentions))
    add_temporal_embedding(model)
    model.final_norm().requires_grad_(True)
    if vit.cls_token is not None:
        vit.cls_token.requires_grad_(True)
