"""The adapter of NOAH, https://github.com/ZhangYuanhan-AI/NOAH: behind the MLP, QuickGELU."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import TIMM_BLOCK, rows_in_blocks

METHOD = "adapter"
NAMES = {
    "head": "head",
    f"{TIMM_BLOCK}.adapter.ln1": "vit.blocks.*.drop_path2.1.down",
    f"{TIMM_BLOCK}.adapter.ln2": "vit.blocks.*.drop_path2.1.up",
}


def noah_adapter(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells, which are all."""
    width = rows_in_blocks(state, "adapter.ln1.weight", block=TIMM_BLOCK)
    if not width:
        raise UserError("no adapter in the file")
    return {"sites": ["mlp"], "width": width, "activation": "quick_gelu"}
