"""DoRA (Liu et al., 2024) as Hugging Face's peft saves it, https://github.com/huggingface/peft."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._peft import adapted, names, targets

METHOD = "peft"
NAMES = names(("lora_A.default", "lora_B.default", "lora_magnitude_vector.default"))


def dora(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells; no shape tells `lora_alpha`, peft's default is 8."""
    found = adapted(state, "lora_A.default.weight")
    if not found:
        return None
    own = {"use_dora": True, "r": len(next(iter(found.values())))}
    own["lora_alpha"] = config.get("lora_alpha", 8)
    return {"kind": "lora", "targets": targets(found), "config": own}
