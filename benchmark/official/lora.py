"""LoRA as Hugging Face's peft saves it, https://github.com/huggingface/peft."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK, rows_in_blocks

LAYERS = {"attn.qkv": "qkv", "attn.proj": "proj", "mlp.fc1": "fc1", "mlp.fc2": "fc2"}
PARTS = {"lora_A.default": "down", "lora_B.default": "up"}
NAMES = (
    {"head": "head"}
    | {f"{TIMM_BLOCK}.{each}.base_layer": f"vit.blocks.*.{each}" for each in LAYERS}
    | {
        f"{TIMM_BLOCK}.{each}.{theirs}": f"vit.blocks.*.{each}.updates.0.{own}"
        for each in LAYERS
        for theirs, own in PARTS.items()
    }
)


def lora(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells; no shape tells `lora_alpha`, peft's default is 8."""
    found = {
        own: rows_in_blocks(state, f"{each}.lora_A.default.weight", block=TIMM_BLOCK)
        for each, own in LAYERS.items()
    }
    layers = [own for own, rank in found.items() if rank]
    if not layers:
        return None
    return {
        "layers": layers,
        "rank": found[layers[0]],
        "alpha": config.get("lora_alpha", 8),
    }
