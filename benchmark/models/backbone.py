"""Backbones: a timm name, or a file of weights, becomes an image ViT with a fingerprint."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor

from benchmark.errors import UserError, nearest
from benchmark.models.weights import read_weights

SOURCES = ("timm", "random")  # of weights, besides a file


def build(
    name: str, *, size: int, options: Mapping[str, Any] | None = None, pretrained: bool = False
) -> VisionTransformer:
    """Return timm's ViT `name` for frames of `size` px, without its classifier.

    Under `torch.device("meta")` nothing is drawn, and it costs next to nothing. `options` are
    further arguments of timm.

    Raises:
        UserError: timm has no such ViT, or not of this size and with these options.
    """
    if not _is_known(name.split(".")[0]):
        close = nearest(name, timm.list_models("vit*"))
        raise UserError(f"backbone.name: timm {timm.__version__} has no model {name!r}{close}")
    if not pretrained:
        name = name.split(".")[0]  # the tag names weights
    kind = timm.model_entrypoint(name.split(".")[0]).__module__.rpartition(".")[2]
    if kind not in ("vision_transformer", "deit") or "distilled" in name:
        why = " with rotary positions, which attention over time would need too"
        raise UserError(
            f"backbone.name: {name} is in timm's {kind}.py{why if kind == 'eva' else ''}; "
            "the methods work on its VisionTransformer"
        )
    given = dict(options or {})
    if torch.get_default_device().type == "meta":  # where timm's initial values cost most of it
        given.setdefault("weight_init", "skip")
    try:
        vit = timm.create_model(name, pretrained=pretrained, num_classes=0, img_size=size, **given)
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        if pretrained:  # `load` tells what is wrong with a download
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"backbone.options: timm makes no {name} of {size} px with {dict(options or {})} "
            f"({said[:160]})"
        ) from error
    assert type(vit) is VisionTransformer, type(vit)
    patch = math.lcm(*vit.patch_embed.patch_size)  # height and width
    if size % patch:  # timm would leave out the rest
        low = size // patch * patch
        right = f"{low} or {low + patch}" if low else patch
        raise UserError(
            f"clip.size is {size}, not of whole patches of {patch} pixels, such as {right}"
        )
    return vit


@cache
def _is_known(name: str) -> bool:
    return name in timm.list_models()  # not timm.is_model, which knows deprecated names, too


def load(
    name: str, *, size: int, weights: str, options: Mapping[str, Any] | None = None
) -> VisionTransformer:
    """Return timm's ViT `name` with `weights`.

    Args:
        name: a timm model, with the tag of its weights where it has several.
        size: of a frame, in px; positions are resampled to it.
        weights: "timm" for the tag's own, "random", or a file.
        options: further arguments of timm.

    Raises:
        UserError: there is no such model, file or network.
    """
    if weights == "random":
        return build(name, size=size, options=options)
    if weights == "timm":
        try:
            return build(name, size=size, options=options, pretrained=True)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "pretrained" not in str(error).lower():
                if "offline" not in str(error).lower() and "connect" not in str(error).lower():
                    raise
            raise UserError(_how_to_get(name, error)) from error
    vit = build(name, size=size, options=options)
    _fill(vit, read_weights(_file(weights)), Path(weights))
    return vit


def demand_weights(vit: VisionTransformer, name: str, weights: str) -> None:
    """Check that `weights` are those of `vit`, as far as can be told without reading them.

    Args:
        vit: timm's ViT `name`, on the meta device.
        name: With the tag of its weights where it has several.
        weights: "timm", "random", or a file.

    Raises:
        UserError: there is no such tag or file, the file holds no weights, or those of another ViT.
    """
    if weights == "timm":
        own, _, tag = name.partition(".")
        tags = [each.partition(".")[2] for each in timm.list_models(f"{own}.*", pretrained=True)]
        if tag and tag not in tags:
            raise UserError(
                f"backbone.name: timm has no weights {tag!r} of {own}{nearest(tag, tags)}"
            )
    elif weights != "random":
        _fill(vit, read_weights(_file(weights), meta=True), Path(weights))


def _file(weights: str) -> Path:
    if not (path := Path(weights)).is_file():
        raise UserError(f"backbone.weights: there is no file {path}; use 'timm', 'random', or one")
    return path


def _how_to_get(name: str, error: Exception) -> str:
    cfg = timm.get_pretrained_cfg(name)
    source = f"{cfg.hf_hub_id} from its hub" if cfg and cfg.hf_hub_id else "its weights"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"backbone.weights: cannot download {name} ({reason[:120]}); where there is a network, get "
        f"{source}, put the file beside recipes/backbones/ or anywhere, and set "
        f"backbone.weights=FILE"
    )


def _fill(vit: VisionTransformer, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state` into `vit`; every tensor of the ViT must be in it, in the right shape."""
    state = {name: tensor.float() for name, tensor in state.items()}
    state = checkpoint_filter_fn(state, vit)  # knows OpenAI's, DINOv2's, SigLIP's names; resamples
    own = vit.state_dict()
    missing = sorted(own.keys() - state.keys())
    wrong = [k for k in own if k in state and own[k].shape != state[k].shape]
    left = [k for k in state.keys() - own.keys() if not k.startswith(("head", "fc_norm"))]
    if missing or wrong or left:
        raise UserError(
            f"{path}: does not fit this backbone: missing {missing[:3]}, of another shape "
            f"{wrong[:3]}, left over {sorted(left)[:3]}"
        )
    vit.load_state_dict({name: state[name] for name in own})
