"""RepAdapter (Luo et al., 2023), https://arxiv.org/abs/2302.08106: adapters that merge away."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.methods._adapted import Adapted, two_layers
from benchmark.methods._ranges import demand_known, demand_share, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}
SITES = ("attn", "mlp")


class GroupedAdapter(nn.Module):
    """A linear residual bottleneck that starts as identity, its second layer in groups."""

    def __init__(self, dim: int, width: int, groups: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.groups, self.scale = groups, scale
        self.down = nn.Linear(dim, width)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.zeros(dim, width // groups))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., D) to tokens (..., D)."""
        y = self.dropout(self.down(x)).unflatten(-1, (self.groups, -1))
        weight = self.weight.unflatten(0, (self.groups, -1))
        up = torch.einsum("...gr,gor->...go", y, weight).flatten(-2) + self.bias
        return x + self.scale * up

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return weight (D, D) and bias (D,) of the one affine map this is, in float32."""
        up = torch.block_diag(*self.weight.float().chunk(self.groups))  # (D, width)
        down, shift = self.down.weight.float(), self.down.bias.float()
        weight = torch.eye(len(up), device=up.device) + self.scale * (up @ down)
        return weight, self.scale * (up @ shift + self.bias.float())


def repadapter(
    model: VideoViT,
    *,
    width: int = 8,
    groups: int = 2,
    sites: Sequence[str] = SITES,
    scale: float = 1.0,
    dropout: float = 0.1,
) -> None:
    """Train grouped linear adapters before the attention and the MLP of every block.

    The authors choose `scale` per dataset, from 0.1 to 10. ViT-B/16, width 8: 239,808 parameters
    plus the head; none is left after merging.
    """
    demand_known("sites", sites, SITES, some=True)
    demand_size("width", width)
    demand_share("dropout", dropout)
    dim = model.vit.embed_dim
    if groups < 1 or width % groups or dim % groups:
        raise ValueError(f"groups is {groups}, which does not divide {width} and {dim}")

    def adapted(linear: nn.Linear) -> Adapted:
        return Adapted(linear, GroupedAdapter(dim, width, groups, scale, dropout), before=True)

    for _, block in blocks(model.vit):
        if "attn" in sites:
            block.attn.qkv = adapted(block.attn.qkv)
        if "mlp" in sites:
            block.mlp.fc1 = adapted(two_layers(block.mlp, "repadapter")[0])
