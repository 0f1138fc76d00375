"""(IA)3 (Liu et al., 2022) as Hugging Face's peft saves it, https://github.com/huggingface/peft."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._peft import adapted, names, targets

METHOD = "peft"
NAMES = names(("ia3_l.default",))


def ia3(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, which are all: a row of scales is of inputs."""
    found = adapted(state, "ia3_l.default")
    if not found:
        return None
    inputs = [layer for layer, scales in found.items() if len(scales) == 1]
    own = {"feedforward_modules": targets(inputs) if inputs else []}
    return {"kind": "ia3", "targets": targets(found), "config": own}
