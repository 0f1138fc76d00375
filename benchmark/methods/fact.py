"""FacT, factor tuning (Jie and Deng, 2023), https://arxiv.org/abs/2212.03145.

Updates of all layers at once, as one tensor in factors: every layer shares the outer two.
"""

from typing import Literal

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmark.methods._adapted import bias_of, replaced, two_layers
from benchmark.methods._ranges import demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}


class Factors(nn.Module):
    """The factors that all layers share; gone after merging.

    `down` (rank, D) and `up` (D, rank), which starts at zero. As a Tucker decomposition there is
    also a core (rank, rank, rank) and its coordinates (rank, columns).
    """

    def __init__(self, dim: int, rank: int, columns: int, form: str) -> None:
        super().__init__()
        self.down = nn.Linear(dim, rank, bias=False)
        self.up = nn.Linear(rank, dim, bias=False)
        nn.init.zeros_(self.up.weight)
        if form == "tucker":
            self.core = nn.Parameter(torch.empty(rank, rank, rank))
            self.coordinates = nn.Parameter(torch.empty(rank, columns))
            nn.init.xavier_uniform_(self.core)
            nn.init.xavier_uniform_(self.coordinates)

    def merge(self) -> nn.Module:
        """Return nothing: what used the factors has merged them."""
        return nn.Identity()


class TrainCores(nn.Module):
    """Cores of a tensor train: layers of their own, one above the other."""

    def __init__(self, inputs: int, outputs: int, count: int) -> None:
        super().__init__()
        made = (nn.Linear(inputs, outputs // count, bias=False) for _ in range(count))
        self.layers = nn.ModuleList(made)

    def forward(self) -> Tensor:
        """Return the core (outputs, inputs)."""
        cores: list[Tensor] = [each.weight for each in self.layers]  # type: ignore[misc]
        return torch.cat(cores)


class TuckerCores(nn.Module):
    """Cores in Tucker's form: slices of the shared core's product with its coordinates.

    The authors multiply from the right; of the MLP's, their reshape mixes the slices' rows.

    Args:
        factors: the shared ones.
        first: which of the coordinates are these cores' first.
        inputs, outputs: chunks; there are as many coordinates as their product.
        mlp: whether they are an MLP's.
    """

    def __init__(
        self, factors: Factors, first: int, inputs: int, outputs: int, *, mlp: bool
    ) -> None:
        super().__init__()
        self._factors = [factors]  # in a list: parameters belong to one module
        self.span = slice(first, first + inputs * outputs)
        self.mlp, self.wide = mlp, inputs > outputs

    def forward(self) -> Tensor:
        """Return the core (rank outputs, rank inputs)."""
        factors = self._factors[0]
        slices = factors.core @ factors.coordinates[:, self.span]
        if self.mlp:
            return slices.flatten(1) if self.wide else slices.flatten(1).T
        return torch.cat([each.T for each in slices.unbind(-1)])


class FactoredLinear(nn.Module):
    """A frozen linear layer, and beside it the update that shared factors and its cores give.

    The layer maps chunks of D to chunks of D. The update maps every input chunk down, all of them
    by the core (rank outputs, rank inputs), and every output chunk up.
    """

    def __init__(
        self, linear: nn.Linear, factors: Factors, core: nn.Module, scale: float, dropout: float
    ) -> None:
        super().__init__()
        self.linear, self.core = linear, core
        self._factors, self.scale = [factors], scale
        self.inputs, self.outputs = _chunks(linear, len(factors.up.weight))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., inputs D) to tokens (..., outputs D)."""
        factors = self._factors[0]
        y = factors.down(x.unflatten(-1, (self.inputs, -1))).flatten(-2)
        y = self.dropout(nn.functional.linear(y, self.core().to(y.dtype)))
        y = factors.up(y.unflatten(-1, (self.outputs, -1))).flatten(-2)
        return self.linear(x) + self.scale * y

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that does the same."""
        factors, weight = self._factors[0], self.linear.weight.float()
        down, up = factors.down.weight.float(), factors.up.weight.float()
        core = self.core().float().view(self.outputs, len(down), self.inputs, len(down))
        update = torch.einsum("dr,orip,pe->odie", up, core, down).reshape(weight.shape)
        return replaced(self.linear, weight + self.scale * update, bias_of(self.linear))


def _chunks(linear: nn.Linear, dim: int) -> tuple[int, int]:
    return linear.in_features // dim, linear.out_features // dim


def fact(
    model: VideoViT,
    *,
    form: Literal["tensor_train", "tucker"] = "tensor_train",
    rank: int = 16,
    scale: float = 1.0,
    dropout: float = 0.1,
) -> None:
    """Train one update of all layers of all blocks, factored in one `form`, times `scale`.

    The authors choose `rank` and `scale` (0.01 to 100) per dataset. ViT-B/16, rank 16: 61,440
    parameters as a tensor train, 30,976 in Tucker's form, plus the head; merging leaves none.
    """
    demand_size("rank", rank)
    demand_share("dropout", dropout)
    vit = model.vit
    ratio = _mlp_ratio(vit)
    columns = 4 + 2 * ratio  # of a block: queries, keys, values, projection, and the MLP's chunks
    factors = Factors(vit.embed_dim, rank, columns * len(vit.blocks), form)

    def factored(
        linear: nn.Linear, first: int, *, count: int = 1, mlp: bool = False
    ) -> FactoredLinear:
        inputs, outputs = _chunks(linear, vit.embed_dim)
        core: nn.Module
        if form == "tucker":
            core = TuckerCores(factors, first, inputs, outputs, mlp=mlp)
        else:
            core = TrainCores(rank * inputs, rank * outputs, count)
        return FactoredLinear(linear, factors, core, scale, dropout)

    for index, block in blocks(vit):
        attn, mlp, first = block.attn, block.mlp, columns * index
        attn.qkv = factored(attn.qkv, first, count=3)
        attn.proj = factored(attn.proj, first + 3)
        mlp.fc1 = factored(mlp.fc1, first + 4, mlp=True)
        mlp.fc2 = factored(mlp.fc2, first + 4 + ratio, mlp=True)
    vit.factors = factors


def _mlp_ratio(vit: VisionTransformer) -> int:
    """Return how many times as wide as the ViT its MLPs are.

    Raises:
        ValueError: they are not two layers, or not a whole number of times as wide.
    """
    dim, ratios = vit.embed_dim, set[float]()
    for _, block in blocks(vit):
        first, second = two_layers(block.mlp, "fact")
        ratios |= {first.out_features / dim, second.in_features / dim}
    ratio = ratios.pop()
    if ratios or ratio != int(ratio):
        raise ValueError("fact needs MLPs a whole number of times as wide as the ViT")
    return int(ratio)
