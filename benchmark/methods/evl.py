"""EVL (Lin et al., 2022), https://arxiv.org/abs/2208.03550: a decoder over a frozen ViT."""

from collections.abc import Sequence
from typing import cast

import torch
from einops import rearrange
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._ranges import demand_share, demand_size
from benchmark.methods._temporal import TemporalEmbedding
from benchmark.models.activations import QuickGELU
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": {"time": ["conv", "embedding", "attention"]},
    "starts_frozen": False,
    "merges": False,
    "backpropagates": False,
    "needs_class_token": False,
}
TIME = ("conv", "embedding", "attention")


class Overheard(nn.Module):
    """A block's own projection to queries, keys and values, which the decoder takes from here."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self._kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to (B T, N, 3 D)."""
        self._kept = self.linear(x)
        return self._kept

    def take(self) -> Tensor:
        """Return what the last forward pass made, once: nobody else holds it then."""
        kept, self._kept = self._kept, None
        assert kept is not None
        return kept


class FrameAttention(nn.Module):
    """What a patch attends to in the frames before and after, told as where it lies.

    Between neighbouring frames the block's own queries and keys meet; the attention's average over
    heads weights a table of relative positions, one for the frame before and one for that after.
    The first and the last frame miss one of them.
    """

    place: Tensor

    def __init__(self, dim: int, heads: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.heads = heads
        rows, columns = grid
        places = (2 * rows - 1) * (2 * columns - 1)
        self.before = nn.Parameter(torch.zeros(places, dim))
        self.after = nn.Parameter(torch.zeros(places, dim))
        patch = torch.arange(rows * columns)
        y, x = patch // columns, patch % columns
        dy, dx = y[:, None] - y + rows - 1, x[:, None] - x + columns - 1  # query minus key
        self.register_buffer("place", dy * (2 * columns - 1) + dx, persistent=False)  # (N, N)

    def forward(self, qkv: Tensor) -> Tensor:
        """Map projections of patches (B, T, N, 3 D) to what is added to them, (B, T, N, D)."""
        q, k, _ = rearrange(qkv, "b t n (qkv h d) -> qkv b t h n d", qkv=3, h=self.heads)
        before = self._told(q[:, 1:], k[:, :-1], self.before)
        after = self._told(q[:, :-1], k[:, 1:], self.after)
        return F.pad(before, (0, 0, 0, 0, 1, 0)) + F.pad(after, (0, 0, 0, 0, 0, 1))

    def _told(self, q: Tensor, k: Tensor, table: Tensor) -> Tensor:
        """Map queries and keys (B, T - 1, heads, N, d) of two frames to (B, T - 1, N, D)."""
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        weights = scores.softmax(-1).mean(2)  # (B, T - 1, N, N)
        return torch.einsum("b t q k, q k d -> b t q d", weights, table[self.place])


class Attention(nn.Module):
    """Queries attend to tokens, with a linear layer for each of queries, keys, values, output."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map queries (B, Q, D), or (1, Q, D) for all, and tokens (B, M, D) to (B, Q, D)."""
        given = (self.q(x).expand(tokens.shape[0], -1, -1), self.k(tokens), self.v(tokens))
        q, k, v = (rearrange(each, "b m (h d) -> b h m d", h=self.heads) for each in given)
        y = F.scaled_dot_product_attention(q, k, v)
        found: Tensor = self.proj(rearrange(y, "b h q d -> b q (h d)"))
        return found


class Layer(nn.Module):
    """Tokens of a block learn of time; the clip's query attends to them, and passes an MLP."""

    def __init__(self, dim: int, heads: int, time: dict[str, nn.Module], dropout: float) -> None:
        super().__init__()
        self.time = nn.ModuleDict(time)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.attn = Attention(dim, heads)
        self.mlp = Mlp(dim, 4 * dim, act_layer=QuickGELU, drop=(dropout, 0.0))
        for module in (*self.attn.children(), self.mlp.fc1, self.mlp.fc2):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        for linear in (self.mlp.fc1, self.mlp.fc2):
            nn.init.normal_(linear.bias, std=1e-6)

    def forward(self, x: Tensor, tokens: Tensor, qkv: Tensor | None, prefix: int) -> Tensor:
        """Map the query (B or 1, 1, D) and a block's tokens and qkv (B, T, N, ..) to (B, 1, D)."""
        y = tokens
        if "conv" in self.time:
            near = self.time["conv"](rearrange(tokens, "b t n d -> (b n) d t"))
            y = y + rearrange(near, "(b n) d t -> b t n d", b=tokens.shape[0])
        if "embedding" in self.time:
            y = self.time["embedding"](y.flatten(0, 1)).view_as(y)
        if qkv is not None:
            y = y + F.pad(self.time["attention"](qkv[:, :, prefix:]), (0, 0, prefix, 0))
        x = x + self.attn(self.norm1(x), self.norm3(rearrange(y, "b t n d -> b (t n) d")))
        x = x + self.mlp(self.norm2(x))
        return x


class Decoder(nn.Module):
    """A query, at first zero, passes a layer for each of the ViT's last blocks; its norm ends it.

    Args:
        layers: one for each block that is read.
        overheard: what the same blocks' projections go through; empty if no layer reads them.
        frames: T.
        prefix: tokens that are no patches.
    """

    def __init__(
        self, dim: int, layers: list[Layer], overheard: list[Overheard], frames: int, prefix: int
    ) -> None:
        super().__init__()
        self.frames, self.prefix = frames, prefix
        self.query = nn.Parameter(torch.zeros(1, 1, dim))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(dim)
        self._overheard = overheard  # in a list: these are the ViT's

    def forward(self, video: Tensor | None, tokens: list[Tensor]) -> Tensor:
        """Map the tokens (B T, N, D) that leave the last blocks to the clip's feature (B, D)."""
        heard: list[Tensor | None] = [each.take() for each in self._overheard]
        x: Tensor = self.query
        for layer, own, qkv in zip(self.layers, tokens, heard or [None] * len(tokens), strict=True):
            x = layer(x, self._clips(own), None if qkv is None else self._clips(qkv), self.prefix)
        feature: Tensor = self.norm(x[:, 0])
        return feature

    def _clips(self, x: Tensor) -> Tensor:
        return rearrange(x, "(b t) n d -> b t n d", t=self.frames)


def evl(
    model: VideoViT,
    *,
    layers: int = 4,
    heads: int | None = None,
    time: Sequence[str] = TIME,
    dropout: float = 0.5,
) -> None:
    """Train a decoder over the raw tokens of the last `layers` blocks; the ViT has no final norm.

    `time` says how a block's tokens learn of other frames before they are read: a depthwise `conv`
    over three of them, active from the start, an `embedding` of the frame's number, `attention` to
    the patches of its neighbours by the block's own queries and keys. The other two start at zero,
    as does the query, whose attention is uniform then. `heads` None are the ViT's; `dropout` is
    within the MLPs. The paper's head has dropout 0.5, too. ViT-B/16, 8 frames: 32,875,776
    parameters plus the head.
    """
    if unknown := set(time) - set(TIME):
        raise ValueError(f"time has {sorted(unknown)}; there are {', '.join(TIME)}")
    vit, depth = model.vit, len(model.vit.blocks)
    if not 1 <= layers <= depth:
        raise ValueError(f"layers is {layers}; this ViT has {depth} blocks")
    dim, own_heads = vit.embed_dim, cast(int, vit.blocks[0].attn.num_heads)
    heads = own_heads if heads is None else heads
    demand_size("heads", heads)
    if dim % heads:
        raise ValueError(f"heads is {heads}, which does not divide the ViT's width of {dim}")
    demand_share("dropout", dropout)

    def made() -> Layer:
        parts: dict[str, nn.Module] = {}
        if "conv" in time:
            parts["conv"] = nn.Conv1d(dim, dim, 3, padding=1, groups=dim)
        if "embedding" in time:
            parts["embedding"] = TemporalEmbedding(model.frames, dim, skip=0)
        if "attention" in time:
            parts["attention"] = FrameAttention(dim, own_heads, vit.patch_embed.grid_size)
        return Layer(dim, heads, parts, dropout)

    overheard: list[Overheard] = []
    for index, block in blocks(vit):
        if "attention" in time and index >= depth - layers:
            block.attn.qkv = Overheard(block.attn.qkv)
            overheard.append(block.attn.qkv)
    decoder = Decoder(
        dim, [made() for _ in range(layers)], overheard, model.frames, vit.num_prefix_tokens
    )
    model.read_by(decoder, taps=range(depth - layers + 1, depth + 1), width=dim)
