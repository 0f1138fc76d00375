"""Vita-CLIP's checkpoints, the visual side, https://github.com/TalalWasim/Vita-CLIP."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import TIMM_BLOCK

STACKED = {"global_prompts": 0}
NAMES = {
    "ln_pre": "vit.norm_pre",
    "time_embed": "vit.norm_pre.0.embedding",
    "proj": "head.proj",
    "logit_scale": "head.logit_scale",
    "global_prompts.*": "vit.blocks.*.global_prompts",
    f"{TIMM_BLOCK}.local_prompts": "vit.blocks.*.local_prompts",
    f"{TIMM_BLOCK}.cls_proj": "vit.blocks.*.project",
    f"{TIMM_BLOCK}.summary_ln": "vit.blocks.*.summary_norm",
    f"{TIMM_BLOCK}.summary_attn_layer.qkv": "vit.blocks.*.summary.qkv",
    f"{TIMM_BLOCK}.summary_attn_layer.out_proj": "vit.blocks.*.summary.proj",
}


def vita_clip(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells.

    Raises:
        UserError: the file lacks what tells them.
    """
    if missing := {"global_prompts.0", "proj"} - state.keys():
        raise UserError(f"no {', '.join(sorted(missing))} in the file")
    return {"tokens": len(state["global_prompts.0"]), "projection": state["proj"]}
