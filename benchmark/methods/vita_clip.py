"""Vita-CLIP's prompts (Wasim et al., 2023), https://arxiv.org/abs/2304.03307, the visual side.

Tokens that summarise the clip join the attention of every frame. The paper's head compares with
prompts of text that train beside them; here the text, if any, is frozen.
"""

import math

import torch
from einops import repeat
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.methods._ranges import demand_size
from benchmark.methods._temporal import add_temporal_embedding
from benchmark.methods._text import compare_with_text
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": True,
}


class PromptedBlock(nn.Module):
    """A frozen timm block whose attention reads three kinds of prompts beside the tokens.

    Global prompts are learned. Local prompts are learned, one per frame, plus that frame's class
    token behind `project`, and every frame is given those of all frames. A frame's summary is its
    projected class token plus attention over all of them. What the attention makes of prompts is
    dropped: the next block has its own.
    """

    def __init__(self, block: Block, dim: int, frames: int, tokens: int, bound: float) -> None:
        super().__init__()
        self.block, self.frames = block, frames
        self.project = nn.Linear(dim, dim)
        self.global_prompts = nn.Parameter(torch.empty(tokens, dim).uniform_(-bound, bound))
        self.local_prompts = nn.Parameter(torch.empty(frames, dim).uniform_(-bound, bound))
        self.summary_norm = nn.LayerNorm(dim)
        self.summary = Attention(dim, num_heads=block.attn.num_heads, qkv_bias=True)
        for weight in (*self.summary.qkv.weight.chunk(3), self.summary.proj.weight):
            nn.init.xavier_uniform_(weight)
        for layer in (self.summary.qkv, self.summary.proj):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def prompts(self, x: Tensor) -> Tensor:
        """Return the prompts (B T, P, D), global ones first, for tokens (B T, N, D)."""
        token = self.project(x[:, 0]).unflatten(0, (-1, self.frames))  # (B, T, D)
        summary = token + self.summary(self.summary_norm(token))
        local = repeat(self.local_prompts + token, "b s d -> (b t) s d", t=self.frames)
        learned = self.global_prompts.expand(x.shape[0], -1, -1)
        return torch.cat([learned, local, summary.flatten(0, 1)[:, None]], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b = self.block
        y = b.attn(b.norm1(torch.cat([x, self.prompts(x)], dim=1)))
        x = x + b.drop_path1(b.ls1(y[:, : x.shape[1]]))
        return x + b.drop_path2(b.ls2(b.mlp(b.norm2(x))))


def vita_clip(
    model: VideoViT,
    *,
    tokens: int = 8,
    train_projection: bool = False,
    time_std: float = 0.02,
    text: str | Tensor | None = None,
    projection: str | Tensor | None = None,
) -> None:
    """Train `tokens` global prompts, a local one per frame, and a summary in every block.

    In the authors' code the projection of class tokens stays as it was drawn, and so it does here.
    With `train_projection` it trains: the 39 million parameters that others quote come close to
    that, prompts of text included.

    With `text`, a file of CLIP's features of the class names (K, E), the head is the paper's:
    cosines with them, behind CLIP's own frozen `projection` (D, E), times a factor that trains.
    Both are .npy, .safetensors or .pt files; OpenAI's of the tower holds the projection.

    The embedding of time starts as normal noise of standard deviation `time_std`, the authors' at
    0.02. ViT-B/16, 8 frames: 28,520,448 parameters plus the head.
    """
    vit = model.vit
    if not vit.has_class_token:
        raise ValueError("this ViT has no class token, which Vita-CLIP's prompts summarise")
    if (text is None) != (projection is None):
        raise ValueError("text and projection come together: CLIP's, of the names and of the clip")
    demand_size("tokens", tokens)
    patch = math.prod(vit.patch_embed.patch_size) * vit.patch_embed.proj.in_channels
    bound = math.sqrt(6 / (patch + vit.embed_dim))  # Xavier's, of a patch's embedding
    for index, block in blocks(vit):
        prompted = PromptedBlock(block, vit.embed_dim, model.frames, tokens, bound)
        prompted.project.requires_grad_(train_projection)
        vit.blocks[index] = prompted
    add_temporal_embedding(model, std=time_std)
    if text is not None:
        compare_with_text(model, text, projection=projection, train_scale=True)
