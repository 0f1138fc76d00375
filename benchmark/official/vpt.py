"""VPT's checkpoints, https://github.com/KMnP/vpt."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

METHOD = "prompt_tuning"
STACKED = {"transformer.prompt_embeddings": 0, "transformer.deep_prompt_embeddings": 1}
NAMES = {"head": "head"} | {f"{name}.*": "vit.blocks.*.0.tokens" for name in STACKED}


def vpt(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells, which are all."""
    deep = "transformer.deep_prompt_embeddings.1" in state
    return {"tokens": len(state["transformer.prompt_embeddings.0"]), "deep": deep}
