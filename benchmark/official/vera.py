"""VeRA (Kopiczko et al., 2024) as Hugging Face's peft saves it, projections included.

https://github.com/huggingface/peft
"""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.official._peft import adapted, names, targets

METHOD = "peft"
PARTS = ("vera_A.default", "vera_B.default", "vera_lambda_b.default", "vera_lambda_d.default")
NAMES = names(PARTS)


def vera(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the options that the file tells, which are all."""
    found = adapted(state, "vera_lambda_d.default")
    if not found:
        return None
    own = {"r": len(next(iter(found.values())))}
    return {"kind": "vera", "targets": targets(found), "config": own}
