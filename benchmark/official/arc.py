"""ARC's checkpoints, https://github.com/DavidYanAnDe/ARC."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import ARC_BLOCK

SITES = {"att": ("attn", "attn.qkv"), "mlp": ("mlp", "mlp.fc1")}
NAMES = {"head_mlp.head": "head"} | {
    name: own
    for theirs, (site, linear) in SITES.items()
    for name, own in {
        f"transformer.{theirs}_down_projection": f"vit.projections.shared.{site}",
        f"{ARC_BLOCK}.{theirs}_adapter.adapter_rescale": f"vit.blocks.*.{linear}.adapter.rescale",
        f"{ARC_BLOCK}.{theirs}_adapter.adapter_bias": f"vit.blocks.*.{linear}.adapter.bias",
    }.items()
}


def arc(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, which are all; None of a merged one."""
    found = {each: state.get(f"transformer.{each}_down_projection") for each in SITES}
    shared = {SITES[each][0]: tensor for each, tensor in found.items() if tensor is not None}
    if not shared:
        return None
    return {"sites": list(shared), "width": next(iter(shared.values())).shape[1]}
