"""DiST's checkpoints, https://github.com/alibaba-mmai-research/DiST."""

from collections.abc import Mapping
from typing import Any

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark.errors import UserError

NET = "dist_net"
POOLING = f"{NET}.adapooling_nets.*"
STAGE = {
    "temporal_nets.*.ln": "temporal.norm",
    "temporal_nets.*.temporal_net.c_fc1": "temporal.time",
    "temporal_nets.*.temporal_net.c_fc2": "temporal.space",
    "input_linears.*": "inputs",
    "temporal2integration_nets.*.cls_token": "to_class",
    "temporal2integration_nets.*.linear_fuse": "to_space",
    "integration2temporal_nets.*.linear_fuse": "to_time",
    "integration_nets.*.ln": "integration.norm",
    "integration_nets.*.ln_temporal": "integration.temporal_norm",
    "integration_nets.*.ffn.c_fc": "integration.mlp.0",
    "integration_nets.*.ffn.c_proj": "integration.mlp.2",
    "integration_nets.*.temporal_ffn.c_fc1": "integration.down",
    "integration_nets.*.temporal_ffn.c_fc2": "integration.conv",
    "integration_nets.*.temporal_ffn.c_proj": "integration.up",
}
QUERIES = {
    "space": ("spatial_transformer", "ln_out_spat_cls_token", "output_map_spatial_cls_token"),
    "time": ("temporal_transformer", "ln_out_temp_cls_token", "output_map_cls_token"),
}
NAMES = {
    f"{NET}.temporal_stem": "reader.stem",
    f"{NET}.aggregated_spatial_cls_token": "reader.frame_query",
    f"{NET}.aggregated_cls_token": "reader.clip_query",
    f"{NET}.proj_spatial_cls_token": "reader.class_token",
    f"{NET}.ln_post": "reader.norm",
    f"{NET}.proj": "head.proj",
    "logit_scale": "head.logit_scale",
    f"{POOLING}.positional_embedding": "reader.pooling.*.positions",
} | {f"{NET}.{theirs}": f"reader.stages.*.{own}" for theirs, own in STAGE.items()}
for _own, (_attention, _norm, _mlp) in QUERIES.items():
    NAMES |= {
        f"{POOLING}.{_attention}.ln_1": f"reader.pooling.*.{_own}.norm",
        f"{POOLING}.{_attention}.attn": f"reader.pooling.*.{_own}.attn",
        f"{POOLING}.{_attention}.attn.out_proj": f"reader.pooling.*.{_own}.attn.out_proj",
        f"{POOLING}.{_norm}": f"reader.pooling.*.{_own}.mlp_norm",
        f"{POOLING}.{_mlp}.c_fc": f"reader.pooling.*.{_own}.mlp.0",
        f"{POOLING}.{_mlp}.c_proj": f"reader.pooling.*.{_own}.mlp.2",
    }
# What the last stage tells the temporal net is read by nobody, and trains without a gradient.
UNUSED = (f"{NET}.integration2temporal_nets.-1", "ln_post")


def dist(
    state: Mapping[str, Tensor], vit: VisionTransformer, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that the file tells, which are all but the text.

    Raises:
        UserError: the file lacks what tells them.
    """
    first = f"{NET}.temporal2integration_nets.0.linear_fuse.weight"
    if first not in state:
        raise UserError(f"no {first} in the file")
    width, slim, stride = state[first].shape[:3]
    pooling = [name for name in state if name.endswith(".positional_embedding") and NET in name]
    return {
        "width": width,
        "temporal_width": slim,
        "stride": stride,
        "pooling": len(pooling),
    }
