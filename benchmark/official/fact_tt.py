"""FacT's checkpoints as tensor trains, https://github.com/JieShibo/PETL-ViT."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK

METHOD = "fact"
CORES = {
    "attn.q": "attn.qkv.core.layers.0",
    "attn.k": "attn.qkv.core.layers.1",
    "attn.v": "attn.qkv.core.layers.2",
    "attn.proj": "attn.proj.core.layers.0",
    "mlp.fc1": "mlp.fc1.core.layers.0",
    "mlp.fc2": "mlp.fc2.core.layers.0",
}
NAMES = {"head": "head", "FacTu": "vit.factors.down", "FacTv": "vit.factors.up"} | {
    f"{TIMM_BLOCK}.{theirs}_FacTs": f"vit.blocks.*.{own}" for theirs, own in CORES.items()
}


def fact_tt(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, None of a merged one; no shape tells `scale`."""
    if "FacTu.weight" not in state:
        return None
    told = {"scale": config["scale"]} if "scale" in config else {}
    return {"form": "tensor_train", "rank": len(state["FacTu.weight"]), **told}
