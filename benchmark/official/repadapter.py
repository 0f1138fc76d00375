"""RepAdapter's checkpoints, https://github.com/luogen1996/RepAdapter."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK, in_blocks, rows_in_blocks

SITES = {"adapter_attn": ("attn", "attn.qkv"), "adapter_mlp": ("mlp", "mlp.fc1")}
LAYERS = {"conv_A": "down", "conv_B.weight": "weight", "conv_B.bias": "bias"}
NAMES = {"head": "head"} | {
    f"{TIMM_BLOCK}.{adapter}.{layer}": f"vit.blocks.*.{linear}.adapter.{part}"
    for adapter, (_, linear) in SITES.items()
    for layer, part in LAYERS.items()
}


def repadapter(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, None of a merged one; no shape tells `scale`."""
    found = {
        adapter: rows_in_blocks(state, f"{adapter}.conv_A.weight", block=TIMM_BLOCK)
        for adapter in SITES
    }
    adapters = [adapter for adapter, rows in found.items() if rows]
    if not adapters:
        return None
    width = found[adapters[0]]
    ups = in_blocks(state, f"{adapters[0]}.conv_B.weight", block=TIMM_BLOCK)
    up = ups[min(ups)]
    told = {"scale": config["scale"]} if "scale" in config else {}
    sites = [SITES[adapter][0] for adapter in adapters]
    return {"sites": sites, "width": width, "groups": width // up.shape[1], **told}
