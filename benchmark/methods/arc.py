"""ARC, adapter re-composing (Dong et al., 2023), https://arxiv.org/abs/2310.06234.

All layers share one projection, down and, transposed, up again; each has scales of its own for it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.methods._adapted import Adapted, two_layers
from benchmark.methods._ranges import demand_known, demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": False,
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}
SITES = ("attn", "mlp")


class Projections(nn.Module):
    """The projections (D, width) that all layers share, one for each site; gone after merging."""

    def __init__(self, dim: int, width: int, sites: Sequence[str]) -> None:
        super().__init__()
        shared = {site: nn.Parameter(torch.empty(dim, width)) for site in sites}
        self.shared = nn.ParameterDict(shared)
        for each in shared.values():
            nn.init.xavier_uniform_(each)

    def merge(self) -> nn.Module:
        """Return nothing: what used the projections has merged them."""
        return nn.Identity()


class Recomposed(nn.Module):
    """A linear residual bottleneck made of a shared projection and its own scales."""

    def __init__(self, shared: Projections, site: str, dropout: float) -> None:
        super().__init__()
        self._shared, self._site = [shared], site  # in a list: parameters belong to one module
        dim, width = shared.shared[site].shape
        self.rescale = nn.Parameter(torch.zeros(1, width))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.dropout = nn.Dropout(dropout)
        if site == "mlp":  # the authors' code leaves only the attention's at zero
            nn.init.xavier_uniform_(self.rescale)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., D) to tokens (..., D)."""
        shared = self._shared[0].shared[self._site]
        return x + self.dropout(x @ (shared * self.rescale)) @ shared.T + self.bias

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return weight (D, D) and bias (D,) of the one affine map this is, in float32."""
        shared = self._shared[0].shared[self._site].float()
        weight = torch.eye(len(shared), device=shared.device)
        return weight + shared @ (shared * self.rescale.float()).T, self.bias.float()


def arc(
    model: VideoViT, *, width: int = 50, sites: Sequence[str] = SITES, dropout: float = 0.1
) -> None:
    """Train a shared projection for each of `sites`, and every block's scales and biases of it.

    Those before the MLP start at random, as the authors': not as the frozen model. ViT-B/16, width
    50: 96,432 parameters plus the head; none is left after merging.
    """
    demand_known("sites", sites, SITES, some=True)
    demand_size("width", width)
    demand_share("dropout", dropout)
    vit = model.vit
    shared = Projections(vit.embed_dim, width, sites)

    def adapted(linear: nn.Linear, site: str) -> Adapted:
        return Adapted(linear, Recomposed(shared, site, dropout), before=True)

    for _, block in blocks(vit):
        if "attn" in sites:
            block.attn.qkv = adapted(block.attn.qkv, "attn")
        if "mlp" in sites:
            block.mlp.fc1 = adapted(two_layers(block.mlp, "arc")[0], "mlp")
    vit.projections = shared
