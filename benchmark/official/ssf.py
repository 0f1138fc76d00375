"""SSF's checkpoints, https://github.com/dongzelian/SSF."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK

# What each of a module's scales stands behind, by its number.
SCALED = {
    "patch_embed.": ["patch_embed.proj"],
    "": ["norm"],
    f"{TIMM_BLOCK}.": [f"{TIMM_BLOCK}.norm1", f"{TIMM_BLOCK}.norm2"],
    f"{TIMM_BLOCK}.attn.": [f"{TIMM_BLOCK}.attn.qkv", f"{TIMM_BLOCK}.attn.proj"],
    f"{TIMM_BLOCK}.mlp.": [f"{TIMM_BLOCK}.mlp.fc1", f"{TIMM_BLOCK}.mlp.fc2"],
}
NAMES = {"head": "head"} | {
    f"{owner}ssf_{kind}_{number}": f"vit.{layer}.{kind}"
    for owner, layers in SCALED.items()
    for number, layer in enumerate(layers, start=1)
    for kind in ("scale", "shift")
}


def ssf(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return no options, there are none; None of a merged file."""
    return {} if "ssf_scale_1" in state else None
