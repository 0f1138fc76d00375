"""APT, attention prompt tuning (Bandara and Patel, 2024), https://arxiv.org/abs/2403.06978.

Learned keys and values are appended in every attention: prefix tuning. The authors' ViT is
VideoMAE's, whose attention is over space and time; in an image ViT it stays within frames. Its one
norm of the clip's average trains: here the final norm, behind the average over time.
"""

import torch
from einops import rearrange
from timm.layers.attention import Attention
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.methods._ranges import demand_share, demand_size
from benchmark.methods._temporal import norm_after_time
from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class PromptedAttention(nn.Module):
    """A frozen attention whose every head reads the same learned keys and values, too.

    Each is scaled by a number of its own that only amplifies: what is below one counts as one.
    """

    def __init__(self, attn: Attention, tokens: int, patch: int, dropout: float) -> None:
        super().__init__()
        self.attn = attn
        self.keys = nn.Parameter(torch.empty(tokens, attn.head_dim))
        self.values = nn.Parameter(torch.empty(tokens, attn.head_dim))
        self.scale = nn.Parameter(torch.ones(2, tokens))
        self.dropout = nn.Dropout(dropout)
        bound = (6 / (3 * patch**2 + attn.head_dim)) ** 0.5
        for each in (self.keys, self.values):
            nn.init.uniform_(each, -bound, bound)

    def forward(self, x: Tensor, **mask: object) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D); timm's block gives an empty mask."""
        attn = self.attn
        shape = {"h": attn.num_heads, "qkv": 3}
        q, k, v = rearrange(attn.qkv(x), "b n (qkv h d) -> qkv b h n d", **shape).unbind(0)
        q, k = attn.q_norm(q), attn.k_norm(k)
        scale = torch.maximum(self.scale, torch.ones_like(self.scale))  # halves a tie's gradient
        prompts = self.dropout(torch.stack([self.keys, self.values])) * scale[..., None]
        own = prompts.to(k.dtype)[:, None, None].expand(-1, *k.shape[:2], -1, -1)
        k, v = torch.cat([k, own[0].to(k.dtype)], dim=2), torch.cat([v, own[1].to(v.dtype)], dim=2)
        dropout = attn.attn_drop.p if attn.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        y = attn.norm(rearrange(y, "b h n d -> b n (h d)"))
        if (gate := getattr(attn, "gate", None)) is not None:
            y = y * gate(x).sigmoid()
        y = attn.proj_drop(attn.proj(y))
        return y


def apt(model: VideoViT, *, tokens: int = 2, dropout: float = 0.1) -> None:
    """Train `tokens` keys and values in every block, and the final norm.

    ViT-B/16: 4,656 parameters plus the head with 2 of them, as the paper's model for
    Something-Something; 625,536 with 400.
    """
    demand_size("tokens", tokens)
    demand_share("dropout", dropout)
    vit = model.vit
    patch = vit.patch_embed.patch_size[0]
    for _, block in blocks(vit):
        block.attn = PromptedAttention(block.attn, tokens, patch, dropout)
    model.final_norm().requires_grad_(True)
    norm_after_time(model)
