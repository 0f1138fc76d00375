"""How Hugging Face's peft saves what it adds to a timm ViT: by layer, under its own names."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from benchmark.official._towers import TIMM_BLOCK

LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


def names(parts: Iterable[str]) -> dict[str, str]:
    """Return our names of a frozen layer, wherever it is, and of the `parts` added to it."""
    layers = [f"{TIMM_BLOCK}.{each}" for each in LAYERS]
    found = {f"{each}.base_layer": f"vit.{each}" for each in layers}
    found |= {f"{each}.{part}": f"vit.{each}.layer.{part}" for each in layers for part in parts}
    return {"head": "head", **found}


def adapted(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors that end in `part`, by the layer they were added to."""
    end = f".{part}"
    return {name.removesuffix(end): t for name, t in state.items() if name.endswith(end)}


def targets(layers: Iterable[str]) -> str:
    """Return the regular expression of exactly these layers."""
    return "|".join(re.escape(each) for each in layers)
