"""ZeroI2V (Li et al., 2024), https://arxiv.org/abs/2310.01324.

Spatio-temporal dual-headed attention: some heads read their keys and values from another frame.
And linear adapters, which merge into the frozen layers beside them: no cost at test time.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._adapted import Adapted, two_layers
from benchmark.methods._head_shifts import shift_heads
from benchmark.methods._ranges import demand_known, demand_share, width_of
from benchmark.methods._temporal import add_temporal_embedding
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": True,
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}

ADAPTERS = ("qkv", "proj", "fc1", "fc2")


class LinearAdapter(nn.Module):
    """A linear residual bottleneck that starts as identity: x + scale * up(dropout(down(x)))."""

    def __init__(self, dim: int, width: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(dim, width)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(width, dim)
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., D) to tokens (..., D)."""
        hidden = self.dropout(self.down(x))
        return x + F.linear(hidden, self.scale * self.up.weight, self.scale * self.up.bias)

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return weight (D, D) and bias (D,) of the one affine map this adapter is, in float32."""
        down, up = self.down.weight.float(), self.up.weight.float()
        weight = self.scale * (up @ down) + torch.eye(len(up), device=up.device)
        return weight, self.scale * (up @ self.down.bias.float() + self.up.bias.float())


class ShiftedQKV(nn.Module):
    """A fused projection to queries, keys and values, some heads of which look at another frame.

    Head by head, counted from 0 in the order of `shifts`, keys and values (never queries) of frame
    t + offset stand in for those of frame t; where there is no such frame, its own stay.
    """

    def __init__(self, qkv: nn.Module, frames: int, heads: int, shifts: Mapping[int, int]) -> None:
        super().__init__()
        self.qkv, self.frames, self.heads = qkv, frames, heads
        self.shifts = dict(shifts)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to queries, keys and values (B T, N, 3 D)."""
        return shift_heads(self.qkv(x), self.frames, self.heads, self.shifts)


def zeroi2v(
    model: VideoViT,
    *,
    adapters: Sequence[str] = ADAPTERS,
    ratio: float | Fraction = 0.25,
    scale: float = 0.5,
    dropout: float = 0.1,
    shifts: Mapping[int, int] | Sequence[int] | None = None,
    time_std: float = 0.0,
) -> None:
    """Train linear adapters in every block, and let some heads look at other frames.

    `shifts` maps a frame offset to a number of heads, in order, or lists the offset of each head
    that has one, equal ones together; by default head 0 sees the frame before and head 1 the frame
    behind (the paper's Kinetics setting at ViT-B/16). `adapters` names
    the layers adapted: before queries, keys and values, behind the attention's projection, before
    and behind the MLP; each is `ratio` times as wide as the ViT. The final norm and an embedding of
    time train too. ViT-B/16, 8 frames, 400 classes: 14,517,136 parameters; of the new ones only
    the embedding is left after merging. It starts as noise of standard deviation `time_std`, the
    authors' at zero.
    """
    demand_known("adapters", adapters, ADAPTERS)
    shifts = _counts((-1, 1) if shifts is None else shifts)
    vit = model.vit
    width = width_of(ratio, vit.embed_dim)
    demand_share("dropout", dropout)

    def adapt(name: str, linear: nn.Linear) -> nn.Module:
        if name not in adapters:
            return linear
        adapter = LinearAdapter(vit.embed_dim, width, scale, dropout)
        return Adapted(linear, adapter, before=name in ("qkv", "fc1"))

    for _, block in blocks(vit):
        attn, mlp = block.attn, block.mlp
        fc1, fc2 = two_layers(mlp, "zeroi2v")
        heads = int(attn.num_heads)
        if sum(shifts.values()) > heads or min(shifts.values(), default=0) < 0:
            raise ValueError(f"shifts asks for heads {shifts}; this ViT has {heads}")
        qkv = adapt("qkv", attn.qkv)
        attn.qkv = ShiftedQKV(qkv, model.frames, heads, shifts)
        attn.proj = adapt("proj", attn.proj)
        mlp.fc1 = adapt("fc1", fc1)
        mlp.fc2 = adapt("fc2", fc2)
    add_temporal_embedding(model, std=time_std)
    model.final_norm().requires_grad_(True)


def _counts(shifts: Mapping[int, int] | Sequence[int]) -> dict[int, int]:
    """Return frame offset -> number of heads, in order."""
    if isinstance(shifts, Mapping):
        return {int(offset): int(heads) for offset, heads in shifts.items()}
    runs = [(int(offset), len(list(heads))) for offset, heads in groupby(shifts)]
    if len(counts := dict(runs)) < len(runs):
        raise ValueError(f"shifts is {list(shifts)}; heads of one offset stand together")
    return counts
