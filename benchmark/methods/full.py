"""Full fine-tuning, of the image ViT as it is or with divided space-time attention.

The latter is TimeSformer (Bertasius et al., 2021), https://arxiv.org/abs/2102.05095.
"""

import copy

from einops import reduce, repeat
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.methods._temporal import add_temporal_embedding, attend_over_time
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": {"temporal": ["divided"]},
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class DividedBlock(nn.Module):
    """A timm block that attends over time, patch by patch, before it attends within the frame.

    As in TimeSformer the class token (any prefix token) takes no part in the attention over time,
    and there is one per clip: every frame holds a copy, each sees its own frame, and their updates
    are averaged. Attention over time starts as a copy of attention over space, behind a projection
    that starts at zero.
    """

    def __init__(self, block: Block, dim: int, frames: int, prefix: int) -> None:
        super().__init__()
        self.block, self.frames, self.prefix = block, frames, prefix
        self.temporal_norm = copy.deepcopy(block.norm1)
        self.temporal_attn = copy.deepcopy(block.attn)
        self.temporal_proj = nn.Linear(dim, dim)
        nn.init.zeros_(self.temporal_proj.weight)
        nn.init.zeros_(self.temporal_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b, t, p = self.block, self.frames, self.prefix
        y = attend_over_time(self.temporal_attn, self.temporal_norm(x), t)
        y = self.temporal_proj(y)
        y[:, :p] = 0
        x = x + y

        y = b.drop_path1(b.ls1(b.attn(b.norm1(x))))
        once = reduce(y[:, :p], "(b t) n d -> b n d", "mean", t=t)
        y[:, :p] = repeat(once, "b n d -> (b t) n d", t=t)
        x = x + y
        x = x + b.drop_path2(b.ls2(b.mlp(b.norm2(x))))
        return x


def full(model: VideoViT, *, temporal: str | None = None, time_std: float = 0.0) -> None:
    """Train everything.

    With `temporal="divided"` every block also attends over time, and there is an embedding of time:
    121,567,120 parameters in ViT-B/16 with 8 frames and a head of 400 classes. That embedding
    starts as noise of standard deviation `time_std`, TimeSformer's at zero.
    """
    if temporal not in (None, "divided"):
        raise ValueError(f"temporal is {temporal!r}; there is 'divided', or none")
    vit = model.vit
    if temporal == "divided":
        prefix = vit.num_prefix_tokens
        add_temporal_embedding(model, skip=prefix, std=time_std)
        for index, block in blocks(vit):
            vit.blocks[index] = DividedBlock(block, vit.embed_dim, model.frames, prefix)
    vit.requires_grad_(True)
