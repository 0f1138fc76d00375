"""Attentive probes of https://github.com/facebookresearch/jepa and vjepa2, without a tower."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import in_blocks

CROSS = "pooler.cross_attention_block"
UNUSED = (f"{CROSS}.xattn.proj",)  # V-JEPA 1 has it, and applies it nowhere
NAMES = (
    {"linear": "head", "pooler.query_tokens": "reader.query"}
    | {f"{CROSS}.{each}": f"reader.cross.{each}" for each in ("norm1", "norm2")}
    | {f"{CROSS}.xattn.{each}": f"reader.cross.attn.{each}" for each in ("q", "kv")}
    | {f"{CROSS}.mlp.{each}": f"reader.cross.mlp.{each}" for each in ("fc1", "fc2")}
    | {
        f"pooler.blocks.*.{each}": f"reader.blocks.*.{each}"
        for each in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    }
)


def attentive_probe(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells; no shape tells `heads`, the tower's if not given."""
    blocks = in_blocks(state, "norm1.weight", block="pooler.blocks.*")
    told = {key: config[key] for key in ("version", "heads") if key in config}
    return {"depth": 1 + len(blocks)} | told
