"""TimeSformer's checkpoints, https://github.com/facebookresearch/TimeSformer."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import TIMM_BLOCK, in_blocks

METHOD = "full"
LAYERS = {
    "temporal_norm1": "temporal_norm",
    "temporal_attn.qkv": "temporal_attn.qkv",
    "temporal_attn.proj": "temporal_attn.proj",
    "temporal_fc": "temporal_proj",
}
NAMES = {"head": "head", "time_embed": "vit.norm_pre.0.embedding"} | {
    f"{TIMM_BLOCK}.{theirs}": f"vit.blocks.*.{own}" for theirs, own in LAYERS.items()
}


def timesformer(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file's names tell; `train` is what `config` calls the same."""
    if "time_embed" not in state:
        raise UserError("no time_embed in the timesformer file: attention over space only")
    divided = in_blocks(state, "temporal_fc.weight", block=TIMM_BLOCK)
    told = {"train": config["train"]} if "train" in config else {}
    return {"temporal": "divided" if divided else "joint", **told}
