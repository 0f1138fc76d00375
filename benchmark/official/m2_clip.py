"""M2-CLIP's checkpoints, https://github.com/sallymmx/m2clip: their visual side."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import CLIP_BLOCK, added
from benchmark.official.st_adapter import LAYERS, SITES

PATHS = {"": "time", "offset_adapter.": "change"}
NAMES = {"adapter_fc": "head"} | {
    f"{CLIP_BLOCK}.{adapter}.{path}{layer}": f"vit.blocks.*.adapt.{site}.{own}.{part}"
    for adapter, site in SITES.items()
    for path, own in PATHS.items()
    for layer, part in LAYERS.items()
}
# The text's side, and what changes patches that nothing reads.
UNUSED = ("proj", "t_adapter", "transformer.resblocks.-1.adapter_pre_mlp.offset_adapter")


def m2_clip(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file's names and shapes tell, which are all."""
    found = added(state, SITES, "fc1")
    first = next(iter(found.values()), {})
    width = {"width": len(first[min(first)])} if first else {}
    return {"sites": [SITES[each] for each in found], **width}
