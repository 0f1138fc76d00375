"""The towers that authors start from: what their code calls a ViT's tensors, and its shape.

Four families of names are known: OpenAI's of CLIP, timm's (with what was split or flattened of
them since), those of the PyTorch port of Google's ViT, and ARC's of the same. They are facts of the
files; the code here is ours.
"""

import functools
import re
from collections.abc import Iterable, Mapping

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmark.errors import UserError

CLIP_BLOCK = "transformer.resblocks.*"
TIMM_BLOCK = "blocks.*"
PORT_BLOCK = "transformer.encoder.layer.*"
ARC_BLOCK = "transformer.layer.*"

_CLIP = {
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "conv1": "patch_embed.proj",
    "ln_pre": "norm_pre",
    f"{CLIP_BLOCK}.ln_1": "blocks.*.norm1",
    f"{CLIP_BLOCK}.attn.in_proj_weight": "blocks.*.attn.qkv.weight",
    f"{CLIP_BLOCK}.attn.in_proj_bias": "blocks.*.attn.qkv.bias",
    f"{CLIP_BLOCK}.attn.out_proj": "blocks.*.attn.proj",
    f"{CLIP_BLOCK}.ln_2": "blocks.*.norm2",
    f"{CLIP_BLOCK}.mlp.c_fc": "blocks.*.mlp.fc1",
    f"{CLIP_BLOCK}.mlp.c_proj": "blocks.*.mlp.fc2",
    "ln_post": "norm",
}
_TIMM = {
    "cls_token": "cls_token",
    "pos_embed": "pos_embed",
    "patch_embed.proj": "patch_embed.proj",
    "norm": "norm",
    f"{TIMM_BLOCK}.norm1": "blocks.*.norm1",
    f"{TIMM_BLOCK}.attn.qkv": "blocks.*.attn.qkv",
    f"{TIMM_BLOCK}.attn.proj": "blocks.*.attn.proj",
    f"{TIMM_BLOCK}.attn.out_proj": "blocks.*.attn.proj",
    f"{TIMM_BLOCK}.norm2": "blocks.*.norm2",
    f"{TIMM_BLOCK}.mlp.fc1": "blocks.*.mlp.fc1",
    f"{TIMM_BLOCK}.mlp.fc2": "blocks.*.mlp.fc2",
    f"{TIMM_BLOCK}.fc1": "blocks.*.mlp.fc1",
    f"{TIMM_BLOCK}.fc2": "blocks.*.mlp.fc2",
}
_PORT = {
    "transformer.embeddings.cls_token": "cls_token",
    "transformer.embeddings.position_embeddings": "pos_embed",
    "transformer.embeddings.patch_embeddings": "patch_embed.proj",
    "transformer.encoder.encoder_norm": "norm",
    f"{PORT_BLOCK}.attention_norm": "blocks.*.norm1",
    f"{PORT_BLOCK}.attn.out": "blocks.*.attn.proj",
    f"{PORT_BLOCK}.ffn_norm": "blocks.*.norm2",
    f"{PORT_BLOCK}.ffn.fc1": "blocks.*.mlp.fc1",
    f"{PORT_BLOCK}.ffn.fc2": "blocks.*.mlp.fc2",
}
_ARC = {
    "embedding.cls": "cls_token",
    "embedding.position_embedding": "pos_embed",
    "embedding.projective": "patch_embed.proj",
    "transformer.layer_norm": "norm",
    f"{ARC_BLOCK}.att_layer_norm": "blocks.*.norm1",
    f"{ARC_BLOCK}.attention.projective": "blocks.*.attn.proj",
    f"{ARC_BLOCK}.fnn_layer_norm": "blocks.*.norm2",
    f"{ARC_BLOCK}.mlp.fc1": "blocks.*.mlp.fc1",
    f"{ARC_BLOCK}.mlp.fc2": "blocks.*.mlp.fc2",
}
NAMES = {theirs: f"vit.{own}" for theirs, own in (_CLIP | _TIMM | _PORT | _ARC).items()}

# Queries, keys and values, where they stand apart: in this order a third each of timm's `attn.qkv`.
# None: VideoMAE's keys have no bias.
_SPLIT = (
    (f"{TIMM_BLOCK}.attn.qkv.weight", tuple(f"{TIMM_BLOCK}.attn.{x}_proj.weight" for x in "qkv")),
    (f"{TIMM_BLOCK}.attn.qkv.bias", tuple(f"{TIMM_BLOCK}.attn.{x}_proj.bias" for x in "qkv")),
    (
        f"{TIMM_BLOCK}.attn.qkv.bias",
        (f"{TIMM_BLOCK}.attn.q_bias", None, f"{TIMM_BLOCK}.attn.v_bias"),
    ),
    *(  # Vita-CLIP's attention over frames
        (
            f"{TIMM_BLOCK}.summary_attn_layer.qkv.{kind}",
            tuple(f"{TIMM_BLOCK}.summary_attn_layer.{each}_proj.{kind}" for each in "qkv"),
        )
        for kind in ("weight", "bias")
    ),
    *(
        (
            f"{TIMM_BLOCK}.attn.qkv.{kind}",
            tuple(f"{attention}.{each}.{kind}" for each in ("query", "key", "value")),
        )
        for kind in ("weight", "bias")
        for attention in (f"{PORT_BLOCK}.attn", f"{ARC_BLOCK}.attention")
    ),
)


def bare_name(name: str) -> str:
    """Return an author's name without what surrounds the tower."""
    for prefix in ("module.", "backbone.", "visual."):
        name = name.removeprefix(prefix)
    return name


def visual(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the visual tower of a CLIP `state` under bare names.

    Its projection to the text's space, which only heads of text use, is left out.
    """
    inside = {k: v for k, v in state.items() if k.startswith("visual.")}
    return {
        bare_name(name): t for name, t in (inside or state).items() if bare_name(name) != "proj"
    }


def joined(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a tower whose queries, keys and values are one tensor, and where each tensor went.

    What is whole already stays as it is.

    Raises:
        UserError: of three that belong together one is missing.
    """
    found, went = dict(state), {name: name for name in state}
    for whole, parts in _SPLIT:
        for name in [each for each in state if pattern(each) == parts[0]]:
            number = re.findall(r"\.(\d+)\.", name)[0]
            own = [part and part.replace("*", number) for part in parts]
            if missing := [part for part in own if part and part not in found]:
                raise UserError(f"no {', '.join(missing)} in the file, beside its {name}")
            target, like = whole.replace("*", number), found[name]
            third = [found.pop(part) if part else torch.zeros_like(like) for part in own]
            found[target] = torch.cat(third)
            went |= {part: target for part in own if part}
    return found, went


def pattern(name: str, count: int = 0) -> str:
    """Return a name with a `*` for the first `count` numbers between dots (0: for all)."""
    return re.sub(r"\.\d+(?=\.|$)", ".*", name, count=count)


def untrained(state: Mapping[str, Tensor], heads: int) -> VisionTransformer:
    """Return an untrained timm ViT of the shape of a tower.

    A tower with a norm before its blocks is CLIP's: QuickGELU, and norms that add 1e-5. Others are
    Google's: GELU, 1e-6.

    Args:
        state: the tower's tensors under our names, `vit.` before timm's.
        heads: of the attention; no tensor's shape tells.

    Raises:
        UserError: so many heads do not divide its width, or what tells the shape is not there.
    """
    shape = ("vit.patch_embed.proj.weight", "vit.pos_embed", "vit.blocks.0.mlp.fc1.weight")
    if missing := [name for name in shape if name not in state]:
        raise UserError(f"no {', '.join(missing)} in the file")
    embedding = state["vit.patch_embed.proj.weight"]
    width, channels, patch = embedding.shape[0], embedding.shape[1], embedding.shape[-1]
    prefix = int("vit.cls_token" in state)
    grid = round((state["vit.pos_embed"].shape[-2] - prefix) ** 0.5)
    hidden = in_blocks(state, "mlp.fc1.weight", block="vit.blocks.*")
    if width % heads:
        raise UserError(f"heads is {heads}, which does not divide the file's width of {width}")
    clip = "vit.norm_pre.weight" in state
    vit = VisionTransformer(
        img_size=grid * patch,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        embed_dim=width,
        depth=1 + max(hidden),
        num_heads=heads,
        mlp_ratio=len(hidden[0]) / width,
        class_token=bool(prefix),
        global_pool="token" if prefix else "avg",
        pre_norm=clip,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-5 if clip else 1e-6),
        act_layer="quick_gelu" if clip else "gelu",
    )
    if clip and "vit.patch_embed.proj.bias" in state:  # OpenAI's have none, some authors add one
        vit.patch_embed.proj.bias = nn.Parameter(torch.zeros(width))
    return vit


def sines(positions: int, width: int) -> Tensor:
    """Return the fixed positions of VideoMAE's towers, (1, positions, width), in float32."""
    angle = torch.arange(positions, dtype=torch.float64)[:, None] / 10_000 ** (
        2 * torch.div(torch.arange(width), 2, rounding_mode="floor") / width
    )
    table = torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos())
    return table[None].float()


def in_blocks(
    state: Mapping[str, Tensor], name: str, *, block: str = CLIP_BLOCK
) -> dict[int, Tensor]:
    """Return the tensors called `name` within a block, by the block's number."""
    known = re.compile(re.escape(f"{block}.{name}").replace(r"\*", r"(\d+)"))
    return {int(match[1]): state[match[0]] for match in map(known.fullmatch, state) if match}


def rows_in_blocks(state: Mapping[str, Tensor], name: str, *, block: str = CLIP_BLOCK) -> int:
    """Return how many rows a tensor called `name` has in the first block with one; 0: none has."""
    found = in_blocks(state, name, block=block)
    return len(found[min(found)]) if found else 0


def added(
    state: Mapping[str, Tensor], names: Iterable[str], first: str, *, block: str = CLIP_BLOCK
) -> dict[str, dict[int, Tensor]]:
    """Return those of the added `names` that are in blocks: the weight of their `first` layer.

    Raises:
        UserError: they are not in the same blocks.
    """
    found = {name: in_blocks(state, f"{name}.{first}.weight", block=block) for name in names}
    found = {name: blocks for name, blocks in found.items() if blocks}
    if len({tuple(sorted(blocks)) for blocks in found.values()}) > 1:
        raise UserError(f"the file's {', '.join(found)} are not in the same blocks")
    return found
