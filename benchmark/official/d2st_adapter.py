"""D2ST-Adapter's checkpoints, https://github.com/qizhongtan/D2ST-Adapter: with its linear head."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError
from benchmark.official._towers import CLIP_BLOCK, in_blocks

ATTENTIONS = {"s": "space", "t": "time"}
LAYERS = {
    "proj_q": "q",
    "proj_k": "k",
    "proj_v": "v",
    "proj_out": "proj",
    "conv_offset.0": "around",
    "conv_offset.1.norm": "around_norm",
    "conv_offset.3": "move",
}
PARTS = (
    {"down": "down", "pos_embed": "conv", "up": "up"}
    | {f"{theirs}_ln": f"{own}.norm" for theirs, own in ATTENTIONS.items()}
    | {
        f"{theirs}_attn.{layer}": f"{own}.{part}"
        for theirs, own in ATTENTIONS.items()
        for layer, part in LAYERS.items()
    }
)
NAMES = {"classification_layer": "head", "temporal_embedding": "vit.norm_pre.0.embedding"} | {
    f"{CLIP_BLOCK}.Adapter.{theirs}": f"vit.blocks.*.1.{own}" for theirs, own in PARTS.items()
}


def d2st_adapter(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells; the strides are in no shape, and the paper's."""
    down = in_blocks(state, "Adapter.down.weight")
    if not down:
        raise UserError("no adapter of d2st_adapter in the file")
    kernels = {
        f"{own}_kernel": tuple(
            in_blocks(state, f"Adapter.{theirs}_attn.conv_offset.0.weight")[0].shape[2:]
        )
        for theirs, own in ATTENTIONS.items()
    }
    return {"ratio": len(down[0]) / vit.embed_dim, **kernels}
