"""AIM's checkpoints, https://github.com/taoyang1122/adapt-image-models."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import CLIP_BLOCK, added

ADAPTERS = {
    "T_Adapter_in": "temporal_in",
    "T_Adapter": "temporal",
    "S_Adapter": "spatial",
    "MLP_Adapter": "joint",
}
LAYERS = {"D_fc1": "down", "D_fc2": "up"}
NAMES = {"temporal_embedding": "vit.norm_pre.0.embedding", "cls_head.fc_cls": "head"} | {
    f"{CLIP_BLOCK}.{adapter}.{layer}": f"vit.blocks.*.adapt.{own}.{part}"
    for adapter, own in ADAPTERS.items()
    for layer, part in LAYERS.items()
}


def aim(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells; no shape tells `scale`, their `adapter_scale`."""
    found = added(state, ADAPTERS, "D_fc1")
    if not found:
        raise UserError("no adapter of aim in the file")
    width = len(next(iter(next(iter(found.values())).values())))
    told = {"scale": config["adapter_scale"]} if "adapter_scale" in config else {}
    # exact: a float's product could be cut to one less
    ratio = Fraction(width, vit.embed_dim)
    return {"adapters": [ADAPTERS[each] for each in found], "ratio": ratio, **told}
