"""An authors' checkpoint becomes a model of ours: whatever its paper, in the same five steps.

Take what surrounds the tower off the names, build the tower's shape, ask the paper's file for the
options, let our method change the ViT, and fill what came of it; what is left over is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.methods import adapt
from benchmark.models.video_vit import VideoViT
from benchmark.official import _clip

PAPERS = "benchmark.official"


def from_official(
    state_dict: Mapping[str, Tensor],
    *,
    method: str,
    heads: int,
    frames: int,
    base: Mapping[str, Tensor] | None = None,
    config: Mapping[str, Any] | None = None,
    **method_options: Any,
) -> VideoViT:
    """Return our model with the weights of the authors' `state_dict`, in float32 and eval mode.

    Width, depth, patch, image size, classes, which adapters there are and their shape are read off
    the tensors. A ZeroI2V file without adapters is a merged one and gives a merged model.

    Args:
        state_dict: the authors' tensors under their names, with `backbone.` before them or not.
        method: of a file in `benchmark/official`, such as `st_adapter`.
        heads: of the attention; no tensor's shape tells.
        frames: T. A temporal embedding in the file must agree.
        base: CLIP's visual tower, for files that hold only what was trained (ST-Adapter's).
        config: the authors' options under their names, for what shapes don't tell.
        method_options: the same under our names: AIM's and ZeroI2V's `scale`, ZeroI2V's `shifts`.

    Raises:
        UserError: a tensor is missing, left over or of another shape, named.
    """
    if method not in (papers := lookup.names(PAPERS)):
        raise UserError(f"no converter for {method!r}{nearest(method, papers)}")
    state = whole_state(state_dict, base or {}, method)
    model, names = unfilled(
        state, method=method, heads=heads, frames=frames, config=config or {}, **method_options
    )
    _fill(model, {names[theirs]: tensor for theirs, tensor in state.items()})
    return model.eval()


def whole_state(
    state_dict: Mapping[str, Tensor], base: Mapping[str, Tensor], method: str
) -> dict[str, Tensor]:
    """Return an authors' tensors with those of `base` they lack, under `bare_name`s.

    Raises:
        UserError: tower and base are missing.
    """
    state = _clip.tower(base) | {bare_name(name): t for name, t in state_dict.items()}
    state.pop("proj", None)
    if missing := [name for name in _clip.ESSENTIAL if name not in state]:
        raise UserError(
            f"no {', '.join(missing)} in the {method} file: it holds only what was trained, and "
            "needs CLIP's visual tower beside it (base)"
        )
    return state


def unfilled(
    state: Mapping[str, Tensor],
    *,
    method: str,
    heads: int,
    frames: int,
    config: Mapping[str, Any],
    **method_options: Any,
) -> tuple[VideoViT, dict[str, str]]:
    """Return our model of the shape of `state`, untrained, and our name of each of its tensors.

    Raises:
        UserError: a tensor that tells the shape is missing, or of another shape.
    """
    paper = lookup.find(PAPERS, method)
    names = _clip.NAMES | import_module(f"{PAPERS}.{method}").NAMES
    ours = {theirs: our_name(theirs, names) for theirs in state}
    if "temporal_embedding" in state and state["temporal_embedding"].shape[1] != frames:
        found = state["temporal_embedding"].shape[1]
        raise UserError(f"frames is {frames}; the file's temporal embedding has {found}")
    vit = _clip.untrained(state, heads)
    options = paper(state, vit, config) | method_options
    head = next((theirs for theirs, own in ours.items() if own == "head.weight"), None)
    if head is None:
        known = " or ".join(f"{theirs}.weight" for theirs, own in names.items() if own == "head")
        raise UserError(f"no head in the {method} file ({known})")
    before = {f"vit.{name}": parameter for name, parameter in vit.named_parameters()}
    model = adapt(vit, method, frames=frames, classes=len(state[head]), **options)
    # a method moves and wraps what the ViT has: a parameter is told by being the same one
    after = {id(parameter): name for name, parameter in model.named_parameters()}
    moved = {name: after.get(id(parameter), name) for name, parameter in before.items()}
    return model, {theirs: moved.get(own, own) for theirs, own in ours.items()}


def our_name(theirs: str, names: Mapping[str, str]) -> str:
    """Return our name of an authors' tensor; its own, where `names` has neither it nor its layer.

    A `*` in `names` stands for a number between dots, the same on both sides.
    """
    numbers = iter(re.findall(r"\.(\d+)(?=\.)", theirs))
    pattern = re.sub(r"\.\d+(?=\.)", ".*", theirs)
    layer, _, kind = pattern.rpartition(".")
    own = names.get(pattern) or (f"{names[layer]}.{kind}" if layer in names else None)
    return theirs if own is None else re.sub(r"\*", lambda _: next(numbers), own)


def bare_name(name: str) -> str:
    """Return an author's name without what surrounds the tower."""
    return name.removeprefix("module.").removeprefix("backbone.")


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
