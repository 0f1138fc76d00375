"""TokShift (Zhang et al., 2021), https://arxiv.org/abs/2108.02432: class tokens shifted in time.

The shift has no parameters, and the authors train the whole ViT with it. Under a frozen ViT it is
no method of theirs but a free ablation: the ViT never learned what its class token now carries.
"""

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models.video_vit import VideoViT, blocks

FACTS = {
    "sees_time": True,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": {"frozen": [None, False]},
    "needs_class_token": True,
}


def shift_class_token(x: Tensor, frames: int, part: int) -> Tensor:
    """Replace channels of the class tokens in tokens (B T, N, D), which is the first of N.

    The first D / `part` come from the frame after, as many more from the frame before; beyond the
    clip there are zeros.
    """
    token = x[:, 0].unflatten(0, (-1, frames))  # (B, T, D)
    width = token.shape[-1] // part
    after, before, own = token.tensor_split((width, 2 * width), dim=-1)
    after = F.pad(after[:, 1:], (0, 0, 0, 1))
    before = F.pad(before[:, :-1], (0, 0, 1, 0))
    token = torch.cat([after, before, own], dim=-1).flatten(0, 1)
    return torch.cat([token[:, None], x[:, 1:]], dim=1)


class TokShiftBlock(nn.Module):
    """A timm block that shifts the class token's channels before each of its halves.

    What is shifted is the residual stream itself.
    """

    def __init__(self, block: Block, frames: int, part: int) -> None:
        super().__init__()
        self.block, self.frames, self.part = block, frames, part

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B T, N, D) to tokens (B T, N, D)."""
        b = self.block
        x = shift_class_token(x, self.frames, self.part)
        x = x + b.drop_path1(b.ls1(b.attn(b.norm1(x))))
        x = shift_class_token(x, self.frames, self.part)
        x = x + b.drop_path2(b.ls2(b.mlp(b.norm2(x))))
        return x


def tokshift(model: VideoViT, *, part: int = 4, frozen: bool = False) -> None:
    """Shift 1 / `part` of the class token's channels each way in time, and train all of the ViT.

    With `frozen` only the head trains. ViT-B/16, a head of 400 classes: 86,107,024 parameters.
    """
    vit = model.vit
    if vit.cls_token is None:
        raise ValueError("tokshift shifts the class token, and this ViT has none")
    if not 2 <= part <= vit.embed_dim:
        raise ValueError(f"part is {part}, not from 2 to the ViT's width of {vit.embed_dim}")
    for index, block in blocks(vit):
        vit.blocks[index] = TokShiftBlock(block, model.frames, part)
    vit.requires_grad_(not frozen)
