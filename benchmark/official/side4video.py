"""Side4Video's checkpoints, https://github.com/HJYao00/Side4Video."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError

STEM = "side_conv1"
BLOCK = "transformer.side_transformer.*"
LAYERS = {
    "bn_1": "norm1",
    "conv.*": "conv.*",
    "ln_1": "norm2",
    "attn": "attn",
    "attn.out_proj": "attn.out_proj",
    "bn_2": "norm3",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
}
NAMES = {
    "fc": "head",
    STEM: "reader.stem",
    "side_pre_bn3d": "reader.stem_norm",
    "side_post_bn": "reader.norm",
    "transformer.side_lns.*": "reader.norms.*",
    "transformer.side_linears.*": "reader.linears.*",
    "transformer.side_spatial_position_embeddings": "reader.positions",
} | {f"{BLOCK}.{theirs}": f"reader.blocks.*.{own}" for theirs, own in LAYERS.items()}


def side4video(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the one option, which the file tells."""
    if f"{STEM}.weight" not in state:
        raise UserError(f"no {STEM}.weight in the side4video file")
    return {"width": len(state[f"{STEM}.weight"])}
