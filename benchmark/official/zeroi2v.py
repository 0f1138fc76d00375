"""ZeroI2V's checkpoints, https://github.com/MCG-NJU/ZeroI2V, trained or merged."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import CLIP_BLOCK, added

ADAPTERS = {
    "T_Adapter_in": "attn.qkv.qkv",
    "S_Adapter": "attn.proj",
    "MLP_Adapter": "mlp.fc1",
    "MLP_Adapter_out": "mlp.fc2",
}
LAYERS = {"D_fc1": "down", "D_fc2": "up"}
NAMES = {"temporal_embedding": "vit.norm_pre.0.embedding", "cls_head.fc_cls": "head"} | {
    f"{CLIP_BLOCK}.{adapter}.{layer}": f"vit.blocks.*.{linear}.adapter.{part}"
    for adapter, linear in ADAPTERS.items()
    for layer, part in LAYERS.items()
}


def zeroi2v(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file and `config` tell; a merged file has no adapters.

    No shape tells `scale`, their `adapter_scale`, nor `shifts`, their `stdha_cfg`.
    """
    found = added(state, ADAPTERS, "D_fc1")
    options: dict[str, Any] = {"adapters": [ADAPTERS[each].split(".")[-1] for each in found]}
    if found:
        width = len(next(iter(next(iter(found.values())).values())))
        # exact: a float's product could be cut to one less
        options["ratio"] = Fraction(width, vit.embed_dim)
    if "adapter_scale" in config:
        options["scale"] = config["adapter_scale"]
    if "stdha_cfg" in config:
        heads = int(vit.blocks[0].attn.num_heads)  # type: ignore[union-attr, arg-type]
        options["shifts"] = _shifts(config["stdha_cfg"], heads)
    return options


# Their divisor of the heads that see so many frames back, and the switch for as many ahead.
SHIFTS = (
    ("shift_div", 1, None),
    ("long_shift_div", 2, "long_shift_right"),
    ("shift1_div", 1, None),
    ("shift2_div", 2, None),
    ("shift3_div", 3, "shift3_right"),
)


def _shifts(stdha: Mapping[str, Any], heads: int) -> dict[int, int]:
    """Return the head shifts that their `stdha_cfg` means: offset -> heads, in order."""
    found = {}
    for divisor, reach, ahead in SHIFTS:
        if stdha.get(divisor):
            found[-reach] = heads // stdha[divisor]
            if ahead is None or stdha.get(ahead):
                found[reach] = heads // stdha[divisor]
    return found
