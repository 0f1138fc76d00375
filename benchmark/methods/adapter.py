"""Adapters behind a block's layers: Houlsby et al. (2019), https://arxiv.org/abs/1902.00751.

Theirs stand behind attention and MLP; Pfeiffer et al. (2021), https://arxiv.org/abs/2005.00247,
keep the one behind the MLP, which is the row called "Adapter" in benchmarks of image models.
"""

from collections.abc import Sequence
from typing import Literal

from timm.layers.activations import QuickGELU
from torch import Tensor, nn

from benchmark.methods._ranges import demand_known, demand_size
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}
SITES = {"attn": "drop_path1", "mlp": "drop_path2"}  # what ends a residual branch of timm's block
ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "quick_gelu": QuickGELU}


class Adapter(nn.Module):
    """A bottleneck with a skip around it, which starts as identity: x + up(act(down(x)))."""

    def __init__(self, dim: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.down = nn.Linear(dim, width)
        self.act = activation
        self.up = nn.Linear(width, dim)
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        y: Tensor = x + self.up(self.act(self.down(x)))
        return y


def adapter(
    model: VideoViT,
    *,
    width: int = 8,
    sites: Sequence[str] = ("mlp",),
    activation: Literal["gelu", "relu", "quick_gelu"] = "gelu",
) -> None:
    """Train an adapter at the end of the residual branches `sites` of every block.

    Activations differ between codes (NOAH's row has QuickGELU), and some initialise `up` at random;
    here it starts at zero. ViT-B/16, width 8: 156,768 parameters behind the MLP, 313,536 behind
    both, plus the head.
    """
    demand_known("sites", sites, tuple(SITES), some=True)
    demand_size("width", width)
    for _, block in blocks(model.vit):
        for site in sites:
            made = Adapter(model.vit.embed_dim, width, ACTIVATIONS[activation]())
            setattr(block, SITES[site], nn.Sequential(getattr(block, SITES[site]), made))
