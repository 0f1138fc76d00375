"""Convpass's checkpoints, https://github.com/JieShibo/PETL-ViT."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK, rows_in_blocks

SITES = {"adapter_attn": "attn", "adapter_mlp": "mlp"}
LAYERS = {"adapter_down": "down", "adapter_conv": "conv", "adapter_up": "up"}
NAMES = {"head": "head"} | {
    f"{TIMM_BLOCK}.{adapter}.{layer}": f"vit.blocks.*.adapt.{site}.{part}"
    for adapter, site in SITES.items()
    for layer, part in LAYERS.items()
}


def convpass(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells; no shape tells `scale`, which they call the same."""
    found = {
        site: rows_in_blocks(state, f"{adapter}.adapter_down.weight", block=TIMM_BLOCK)
        for adapter, site in SITES.items()
    }
    sites = [site for site, rows in found.items() if rows]
    told = {"scale": config["scale"]} if "scale" in config else {}
    width = {"width": found[sites[0]]} if sites else {}
    return {"sites": sites, **width, **told}
