"""LoRA (Hu et al., 2022), https://arxiv.org/abs/2106.09685: low-rank updates of frozen layers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._adapted import bias_of, replaced
from benchmark.methods._ranges import demand_known, demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}
LAYERS = ("qkv", "q", "k", "v", "proj", "fc1", "fc2")


class LowRank(nn.Module):
    """A low-rank map that starts at zero: scale * up(down(dropout(x)))."""

    def __init__(self, inputs: int, outputs: int, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., inputs) to tokens (..., outputs)."""
        y: Tensor = self.scale * self.up(self.down(self.dropout(x)))
        return y

    def matrix(self) -> Tensor:
        """Return the weight (outputs, inputs) of this map, in float32."""
        return self.scale * (self.up.weight.float() @ self.down.weight.float())


class UpdatedLinear(nn.Module):
    """A frozen linear layer, and low-rank maps beside it that add to some of its outputs.

    Args:
        linear: the layer.
        updates: by the first output that they add to.
    """

    def __init__(self, linear: nn.Linear, updates: dict[int, LowRank]) -> None:
        super().__init__()
        self.linear = linear
        self.starts = tuple(updates)
        self.updates = nn.ModuleList(updates.values())

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., inputs) to tokens (..., outputs)."""
        y: Tensor = self.linear(x)
        for start, update in zip(self.starts, self.updates, strict=True):
            added = update(x)
            y = y + F.pad(added, (start, y.shape[-1] - start - added.shape[-1]))
        return y

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that does the same."""
        weight = self.linear.weight.float().clone()
        for start, update in zip(self.starts, self.updates, strict=True):
            matrix: Tensor = update.matrix()  # type: ignore[operator]
            weight[start : start + len(matrix)] += matrix
        return replaced(self.linear, weight, bias_of(self.linear))


def lora(
    model: VideoViT,
    *,
    layers: Sequence[str] = ("qkv",),
    rank: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
) -> None:
    """Train a low-rank update of `layers` in every block, scaled by `alpha` / `rank` (None: 1).

    `qkv` updates queries, keys and values by one map, as the image benchmarks' rows do; `q`, `k`
    and `v` have one each. ViT-B/16, rank 8: 294,912 parameters for `qkv`, as many for `q` and `v`,
    plus the head; none of them is left after merging.
    """
    demand_known("layers", layers, LAYERS)
    parts = [each for each in ("q", "k", "v") if each in layers]
    if not layers or ("qkv" in layers and parts):
        raise ValueError(f"layers is {list(layers)}; it takes some, and qkv or parts of it")
    demand_size("rank", rank)
    demand_share("dropout", dropout)
    dim, scale = model.vit.embed_dim, 1.0 if alpha is None else alpha / rank

    def updated(linear: nn.Linear, starts: Sequence[int], outputs: int) -> UpdatedLinear:
        made = {s: LowRank(linear.in_features, outputs, rank, scale, dropout) for s in starts}
        return UpdatedLinear(linear, made)

    for _, block in blocks(model.vit):
        attn, mlp = block.attn, block.mlp
        if "qkv" in layers:
            attn.qkv = updated(attn.qkv, [0], 3 * dim)
        elif parts:
            attn.qkv = updated(attn.qkv, ["qkv".index(each) * dim for each in parts], dim)
        for owner, name in ((attn, "proj"), (mlp, "fc1"), (mlp, "fc2")):
            if name in layers:
                linear = getattr(owner, name, None)
                if not isinstance(linear, nn.Linear):
                    raise ValueError(f"layers has {name}; this ViT has a {type(linear)} there")
                setattr(owner, name, updated(linear, [0], linear.out_features))
