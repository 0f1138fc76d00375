"""APT's checkpoints, https://github.com/wgcban/apt: VideoMAE's tower, prompts in all blocks."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

STACKED = {"prompt_embeddings_k": 0, "prompt_embeddings_v": 0, "prompt_scale": 0}
PARTS = {"prompt_embeddings_k": "keys", "prompt_embeddings_v": "values", "prompt_scale": "scale"}
NAMES = {"head": "head", "head_norm": "vit.fc_norm"} | {
    f"{theirs}.*": f"vit.blocks.*.attn.{own}" for theirs, own in PARTS.items()
}


def apt(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells, which are all."""
    return {"tokens": len(state["prompt_embeddings_k.0"])}
