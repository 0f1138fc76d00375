"""ST-Adapter's checkpoints, https://github.com/linziyi96/st-adapter: only what was trained."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import CLIP_BLOCK, added, in_blocks

SITES = {"adapter_pre_attn": "attn", "adapter_pre_mlp": "mlp"}
LAYERS = {"fc1": "down", "conv": "conv", "fc2": "up"}
NAMES = {"fc": "head"} | {
    f"{CLIP_BLOCK}.{adapter}.{layer}": f"vit.blocks.*.adapt.{site}.{part}"
    for adapter, site in SITES.items()
    for layer, part in LAYERS.items()
}


def st_adapter(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file's names and shapes tell, which are all."""
    found = added(state, SITES, "fc1")
    if not found:
        raise UserError("no adapter of st_adapter in the file")
    name, blocks = next(iter(found.items()))
    depth, first = len(vit.blocks), min(blocks)
    if sorted(blocks) != list(range(first, depth)):
        raise UserError(f"adapters in blocks {sorted(blocks)}: not the last ones of {depth}")
    return {
        "width": len(blocks[first]),
        "kernel": tuple(in_blocks(state, f"{name}.conv.weight")[first].shape[2:]),
        "sites": [SITES[each] for each in found],
        "layers": len(blocks),
    }
