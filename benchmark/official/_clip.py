"""CLIP's visual tower: the names that OpenAI's code gave it, which most papers kept, and its shape.

They are facts of the files; the code here is ours.
"""

import functools
import re
from collections.abc import Iterable, Mapping

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmark.errors import UserError

BLOCK = "transformer.resblocks.*"
NAMES = {
    "class_embedding": "vit.cls_token",
    "positional_embedding": "vit.pos_embed",
    "conv1": "vit.patch_embed.proj",
    "ln_pre": "vit.norm_pre",
    f"{BLOCK}.ln_1": "vit.blocks.*.norm1",
    f"{BLOCK}.attn.in_proj_weight": "vit.blocks.*.attn.qkv.weight",
    f"{BLOCK}.attn.in_proj_bias": "vit.blocks.*.attn.qkv.bias",
    f"{BLOCK}.attn.out_proj": "vit.blocks.*.attn.proj",
    f"{BLOCK}.ln_2": "vit.blocks.*.norm2",
    f"{BLOCK}.mlp.c_fc": "vit.blocks.*.mlp.fc1",
    f"{BLOCK}.mlp.c_proj": "vit.blocks.*.mlp.fc2",
    "ln_post": "vit.norm",
}
ESSENTIAL = ("conv1.weight", "class_embedding", "ln_post.weight")  # a file without is not whole


def tower(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the visual tower of a CLIP `state` under bare names.

    Its projection to the text's space, which no method uses, is left out.
    """
    inside = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    return {name: t for name, t in (inside or state).items() if name != "proj"}


def untrained(state: Mapping[str, Tensor], heads: int) -> VisionTransformer:
    """Return an untrained timm ViT of the shape of the tower in `state`.

    Raises:
        UserError: so many heads do not divide its width, or what tells the shape is not there.
    """
    shape = ("positional_embedding", f"{BLOCK}.mlp.c_fc.weight".replace("*", "0"))
    if missing := [name for name in shape if name not in state]:
        raise UserError(f"no {', '.join(missing)} in the file")
    width, channels, patch, _ = state["conv1.weight"].shape
    grid = round((len(state["positional_embedding"]) - 1) ** 0.5)
    hidden = in_blocks(state, "mlp.c_fc.weight")
    if width % heads:
        raise UserError(f"heads is {heads}, which does not divide the file's width of {width}")
    return VisionTransformer(
        img_size=grid * patch,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        embed_dim=width,
        depth=1 + max(hidden),
        num_heads=heads,
        mlp_ratio=len(hidden[0]) / width,
        pre_norm=True,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-5),
        act_layer="quick_gelu",
    )


def in_blocks(state: Mapping[str, Tensor], name: str) -> dict[int, Tensor]:
    """Return the tensors called `name` within a block, by the block's number."""
    pattern = re.compile(re.escape(f"{BLOCK}.{name}").replace(r"\*", r"(\d+)"))
    return {int(match[1]): state[match[0]] for match in map(pattern.fullmatch, state) if match}


def added(
    state: Mapping[str, Tensor], names: Iterable[str], first: str
) -> dict[str, dict[int, Tensor]]:
    """Return those of the added `names` that are in blocks: the weight of their `first` layer.

    Raises:
        UserError: they are not in the same blocks.
    """
    found = {name: in_blocks(state, f"{name}.{first}.weight") for name in names}
    found = {name: blocks for name, blocks in found.items() if blocks}
    if len({tuple(sorted(blocks)) for blocks in found.values()}) > 1:
        raise UserError(f"the file's {', '.join(found)} are not in the same blocks")
    return found
