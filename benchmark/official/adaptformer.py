"""AdaptFormer's checkpoints, https://github.com/ShoufaChen/AdaptFormer."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import TIMM_BLOCK, rows_in_blocks

# Their training scripts put a BatchNorm without parameters before the head.
NAMES = {
    "head": "head",
    "head.0": "norm",
    "head.1": "head",
    f"{TIMM_BLOCK}.adaptmlp.down_proj": "vit.blocks.*.adapt.down",
    f"{TIMM_BLOCK}.adaptmlp.up_proj": "vit.blocks.*.adapt.up",
}


def adaptformer(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells; no shape tells `scale`, `ffn_adapter_scalar`."""
    width = rows_in_blocks(state, "adaptmlp.down_proj.weight", block=TIMM_BLOCK)
    if not width:
        raise UserError("no adapter of adaptformer in the file")
    told: dict[str, Any] = {
        "width": width,
        "batch_norm": "head.0.running_mean" in state,
    }
    if "ffn_adapter_scalar" in config:
        told["scale"] = float(config["ffn_adapter_scalar"])
    return told
