"""LoRA as in NOAH's code, https://github.com/ZhangYuanhan-AI/NOAH: on the fused qkv, no scale."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK, rows_in_blocks

METHOD = "lora"
NAMES = {
    "head": "head",
    f"{TIMM_BLOCK}.attn.LoRA_a": "vit.blocks.*.attn.qkv.updates.0.down",
    f"{TIMM_BLOCK}.attn.LoRA_b": "vit.blocks.*.attn.qkv.updates.0.up",
}


def noah_lora(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, which are all; None of a merged one."""
    rank = rows_in_blocks(state, "attn.LoRA_a.weight", block=TIMM_BLOCK)
    if not rank:
        return None
    return {"layers": ["qkv"], "rank": rank}
