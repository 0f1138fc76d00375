"""FacT's checkpoints in Tucker's form, https://github.com/JieShibo/PETL-ViT."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

METHOD = "fact"
NAMES = {
    "head": "head",
    "FacTu": "vit.factors.down",
    "FacTv": "vit.factors.up",
    "FacTc": "vit.factors.core",
    "FacTp": "vit.factors.coordinates",
}


def fact_tk(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, None of a merged one; no shape tells `scale`."""
    if "FacTc" not in state:
        return None
    told = {"scale": config["scale"]} if "scale" in config else {}
    return {"form": "tucker", "rank": len(state["FacTc"]), **told}
