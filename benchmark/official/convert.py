"""The authors' checkpoints as our models: ST-Adapter, AIM and ZeroI2V on CLIP.

Names on the left are theirs, on the right ours:

    class_embedding, positional_embedding, conv1    vit.cls_token, vit.pos_embed, vit.patch_embed
    ln_pre, ln_post                                 vit.norm_pre, the final norm
    transformer.resblocks.I.ln_1, .attn, .ln_2, .mlp    vit.blocks.I.norm1, .attn, .norm2, .mlp
    temporal_embedding                              the TemporalEmbedding in vit.norm_pre
    fc, cls_head.fc_cls                             head

ST-Adapter's code: github.com/linziyi96/st-adapter; AIM's: taoyang1122/adapt-image-models;
ZeroI2V's: MCG-NJU/ZeroI2V. Their key names are facts of their files; the code here is ours.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmark.errors import UserError, nearest
from benchmark.lookup import find
from benchmark.models.video_vit import VideoViT

METHODS = ("st_adapter", "aim", "zeroi2v")
BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")


# A block's own layers, in timm's names.
LAYERS = {
    "ln_1": "norm1",
    "attn.in_proj": "attn.qkv",
    "attn.out_proj": "attn.proj",
    "ln_2": "norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


# What a method adds to a block.
ADDED = {
    "st_adapter": {"adapter_pre_attn": "adapt.attn", "adapter_pre_mlp": "adapt.mlp"},
    "aim": {
        "T_Adapter_in": "adapt.temporal_in",
        "T_Adapter": "adapt.temporal",
        "S_Adapter": "adapt.spatial",
        "MLP_Adapter": "adapt.joint",
    },
    "zeroi2v": {
        "T_Adapter_in": "attn.qkv.qkv.adapter",
        "S_Adapter": "attn.proj.adapter",
        "MLP_Adapter": "mlp.fc1.adapter",
        "MLP_Adapter_out": "mlp.fc2.adapter",
    },
}
PARTS = {"fc1": "down", "D_fc1": "down", "conv": "conv", "fc2": "up", "D_fc2": "up"}


def from_official(
    state_dict: Mapping[str, Tensor],
    *,
    method: str,
    heads: int,
    frames: int,
    base: Mapping[str, Tensor] | None = None,
    **method_options: Any,
) -> VideoViT:
    """Return our model with the weights of the authors' `state_dict`, in float32 and eval mode.

    Width, depth, patch, image size, classes, which adapters there are and their shape are read off
    the tensors. A ZeroI2V file without adapters is a merged one and gives a merged model.

    Args:
        state_dict: the authors' tensors under their names, with `backbone.` before them or not.
        method: `st_adapter`, `aim` or `zeroi2v`.
        heads: of the attention; no tensor's shape tells.
        frames: T. AIM's and ZeroI2V's temporal embedding must agree.
        base: CLIP's visual tower, for files that hold only what was trained (ST-Adapter's).
        method_options: what shapes don't tell: AIM's and ZeroI2V's `scale`, ZeroI2V's `shifts`.

    Raises:
        UserError: a tensor is missing, left over or of another shape, named.
    """
    if method not in METHODS:
        raise UserError(f"no converter for {method!r}{nearest(method, METHODS)}")
    state = visual_tower(base or {}) | {bare_name(name): t for name, t in state_dict.items()}
    state.pop("proj", None)  # CLIP's projection to the text's space, which no method uses
    missing = [k for k in ("conv1.weight", "class_embedding", "ln_post.weight") if k not in state]
    if missing:
        raise UserError(
            f"no {', '.join(missing)} in the {method} file: it holds only what was trained, and "
            "needs CLIP's visual tower beside it (base)"
        )
    if "head.weight" not in state:
        raise UserError(f"no head in the {method} file (fc.weight or cls_head.fc_cls.weight)")
    if "temporal_embedding" in state and state["temporal_embedding"].shape[1] != frames:
        found = state["temporal_embedding"].shape[1]
        raise UserError(f"frames is {frames}; the file's temporal embedding has {found}")

    model = VideoViT(clip_vit(state, heads), frames, len(state["head.weight"]))
    options, merged = _options(state, method, model.vit)
    find("benchmark.methods", method)(model, **options | method_options)
    model = model.merge() if merged else model
    _fill(model, {our_name(name, model, method): t for name, t in state.items()})
    return model.eval()


def visual_tower(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the visual tower of a CLIP `state`, under bare names, without its projection."""
    inside = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    return {name: t for name, t in (inside or dict(state)).items() if name != "proj"}


def clip_vit(state: Mapping[str, Tensor], heads: int) -> VisionTransformer:
    """Return an untrained timm ViT of the shape of CLIP's visual tower `state`."""
    width, channels, patch, _ = state["conv1.weight"].shape
    grid = round((len(state["positional_embedding"]) - 1) ** 0.5)
    depth = 1 + max(int(m[1]) for m in map(BLOCK.fullmatch, state) if m)
    if width % heads:
        raise UserError(f"heads is {heads}, which does not divide the file's width of {width}")
    return VisionTransformer(
        img_size=grid * patch,
        patch_size=patch,
        in_chans=channels,
        num_classes=0,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=len(state["transformer.resblocks.0.mlp.c_fc.weight"]) / width,
        pre_norm=True,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-5),
        act_layer="quick_gelu",
    )


def our_name(name: str, model: VideoViT, method: str) -> str:
    """Return our name of the authors' tensor `name` (`unwrapped`) in `model`."""
    stem, _, kind = name.rpartition(".")
    plain = {
        "class_embedding": "vit.cls_token",
        "positional_embedding": "vit.pos_embed",
        "temporal_embedding": "vit.norm_pre.0.embedding",
        "conv1.weight": "vit.patch_embed.proj.weight",
    }
    if name in plain:
        return plain[name]
    if stem == "ln_pre":
        return f"vit.norm_pre.{kind}" if method == "st_adapter" else f"vit.norm_pre.1.{kind}"
    if stem == "ln_post":
        return f"norm.{kind}" if method == "st_adapter" else f"vit.norm.{kind}"
    if not (match := BLOCK.fullmatch(name)):
        return name  # the head, or something that is left over and will be refused
    index, inner = match[1], match[2]
    block = f"vit.blocks.{index}"
    first, _, rest = inner.partition(".")
    if first in ADDED[method]:
        part, _, kind = rest.partition(".")
        return f"{block}.{ADDED[method][first]}.{PARTS.get(part, part)}.{kind}"
    layer, kind = re.fullmatch(r"(.*?)[._](weight|bias)", inner).groups()  # type: ignore[union-attr]
    own = model.vit.blocks[int(index)]
    layer = LAYERS.get(layer, layer)
    if hasattr(own, "block"):
        return f"{block}.block.{layer}.{kind}"
    if method == "zeroi2v" and layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
        layer += ".qkv" if layer == "attn.qkv" else ""
        layer += ".linear" if hasattr(own.get_submodule(layer), "linear") else ""
    return f"{block}.{layer}.{kind}"


def bare_name(name: str) -> str:
    """Return an author's name without what surrounds the tower, and `head` for either head."""
    name = name.removeprefix("module.").removeprefix("backbone.")
    return re.sub(r"^(cls_head\.fc_cls|fc)\.(weight|bias)$", r"head.\2", name)


def _options(
    state: Mapping[str, Tensor], method: str, vit: VisionTransformer
) -> tuple[dict[str, Any], bool]:
    """Return the options of `method` that the names and shapes of `state` tell; and if merged."""
    found: dict[str, dict[int, Tensor]] = {}  # what was added -> block -> its first layer's weight
    for name, tensor in state.items():
        if (match := BLOCK.fullmatch(name)) and match[2].endswith("fc1.weight"):
            added = match[2].partition(".")[0]
            if added in ADDED[method]:
                found.setdefault(added, {})[int(match[1])] = tensor
    if not found:
        if method == "zeroi2v":
            return {}, True
        raise UserError(f"no adapter of {method} in the file")
    first = next(iter(found.values()))
    depth = len(vit.blocks)
    width = len(next(iter(first.values())))
    if any(sorted(in_blocks) != sorted(first) for in_blocks in found.values()):
        raise UserError(f"the file's {', '.join(found)} are not in the same blocks")
    if method == "st_adapter":
        if sorted(first) != list(range(depth - len(first), depth)):
            raise UserError(f"adapters in blocks {sorted(first)}: not the last ones of {depth}")
        block = min(first)
        kernel = state[f"transformer.resblocks.{block}.{next(iter(found))}.conv.weight"].shape[2:]
        sites = [ADDED[method][added].removeprefix("adapt.") for added in found]
        return dict(width=width, kernel=tuple(kernel), sites=sites, layers=len(first)), False
    ratio = Fraction(width, vit.embed_dim)  # exact: a float's product could be cut to one less
    if method == "aim":
        names = [ADDED[method][added].removeprefix("adapt.") for added in found]
    else:
        names = [ADDED[method][added].split(".")[1] for added in found]
    return dict(adapters=names, ratio=ratio), False


def _fill(model: VideoViT, state: Mapping[str, Tensor]) -> None:
    own = model.state_dict()
    wrong = {
        "missing": sorted(own.keys() - state.keys()),
        "left over": sorted(state.keys() - own.keys()),
        "of another size": [k for k in own if k in state and own[k].numel() != state[k].numel()],
    }
    if any(wrong.values()):
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in wrong.items() if names)
        raise UserError(f"the file and the model disagree: {told}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name].float().reshape(tensor.shape))
