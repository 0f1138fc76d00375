"""EVL's checkpoints, https://github.com/OpenGVLab/efficient-video-recognition: without a tower."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

LAYER = "decoder.decoder_layers.*"
TIME = {
    "decoder.temporal_conv.0.weight": "conv",
    "decoder.temporal_pos_embed.0": "embedding",
    "decoder.cross_attention.0.w1": "attention",
}
NAMES = (
    {
        "decoder.cls_token": "reader.query",
        "decoder.temporal_conv.*": "reader.layers.*.time.conv",
        "decoder.temporal_pos_embed.*": "reader.layers.*.time.embedding.embedding",
        "decoder.cross_attention.*.w1": "reader.layers.*.time.attention.before",
        "decoder.cross_attention.*.w2": "reader.layers.*.time.attention.after",
        "proj.0": "reader.norm",
        "proj.2": "head",
    }
    | {f"{LAYER}.attn.{x}_proj": f"reader.layers.*.attn.{x}" for x in "qkv"}
    | {f"{LAYER}.attn.out_proj": "reader.layers.*.attn.proj"}
    | {f"{LAYER}.mlp.{each}": f"reader.layers.*.mlp.{each}" for each in ("fc1", "fc2")}
    | {f"{LAYER}.{each}": f"reader.layers.*.{each}" for each in ("norm1", "norm2", "norm3")}
)


def evl(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells; no shape tells `heads`, `decoder_num_heads`."""
    layers = sum(name.endswith(".norm1.weight") for name in state if name.startswith("decoder."))
    told = {"layers": layers, "time": [own for name, own in TIME.items() if name in state]}
    return told | ({"heads": config["decoder_num_heads"]} if "decoder_num_heads" in config else {})
