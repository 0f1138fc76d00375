"""TokShift's checkpoints, https://github.com/VideoNetworks/TokShift-Transformer."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

NAMES = {"head": "head"}


def tokshift(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options; no shape tells what the authors call `fold_div`."""
    return {"part": config["fold_div"]} if "fold_div" in config else {}
