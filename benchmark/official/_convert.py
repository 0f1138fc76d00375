"""An authors' checkpoint becomes a model of ours: whatever its paper, in the same five steps.

Take what surrounds the tower off the names, build the tower's shape, ask the paper's file for the
options, let our method change the ViT, and fill what came of it; what is left over is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.methods import adapt
from benchmark.models.video_vit import VideoViT
from benchmark.official import _towers
from benchmark.official._towers import bare_name

PAPERS = "benchmark.official"
PATCHES, POSITIONS = "vit.patch_embed.proj.weight", "vit.pos_embed"


class Converted(NamedTuple):
    """A model of the shape of an authors' file, what is to fill it, and who is who."""

    model: VideoViT
    tensors: dict[str, Tensor]  # under our names
    names: dict[str, tuple[str, ...]]  # the authors' bare names of what is in their file: ours


def from_official(
    state_dict: Mapping[str, Tensor],
    *,
    method: str,
    heads: int,
    frames: int,
    base: Mapping[str, Tensor] | None = None,
    text: Tensor | None = None,
    config: Mapping[str, Any] | None = None,
    **method_options: Any,
) -> VideoViT:
    """Return our model with the weights of the authors' `state_dict`, in float32 and eval mode.

    Width, depth, patch, image size, classes, which adapters there are and their shape are read off
    the tensors. A ZeroI2V file without adapters is a merged one and gives a merged model. A file of
    a reader alone gives it over an untrained tower, whose tokens `model.reader` can be given.

    Args:
        state_dict: the authors' tensors under their names, with `backbone.` before them or not.
        method: of a file in `benchmark/official`, such as `st_adapter`.
        heads: of the attention; no tensor's shape tells.
        frames: T, read from the video. A temporal embedding in the file must agree.
        base: the image tower, for files that hold only what was trained (ST-Adapter's, EVL's).
        text: CLIP's features of the class names (K, E), for heads that compare with them.
        config: the authors' options under their names, for what shapes don't tell.
        method_options: the same under our names: AIM's and ZeroI2V's `scale`, ZeroI2V's `shifts`.

    Raises:
        UserError: a tensor is missing, left over or of another shape, named.
    """
    made = converted(
        state_dict,
        method=method,
        heads=heads,
        frames=frames,
        base=base or {},
        text=text,
        config=config or {},
        **method_options,
    )
    _fill(made.model, made.tensors)
    return made.model.eval()


def converted(
    state_dict: Mapping[str, Tensor],
    *,
    method: str,
    heads: int,
    frames: int,
    base: Mapping[str, Tensor],
    text: Tensor | None,
    config: Mapping[str, Any],
    **method_options: Any,
) -> Converted:
    """Return our model of the shape of an authors' file, untrained, and what is to fill it.

    Raises:
        UserError: there is no such paper, or a tensor that tells the shape is missing or of another
            shape.
    """
    paper = _paper(method)
    names = _towers.NAMES | paper.NAMES
    projects = any(name.partition(".")[0] == "proj" for name in names)
    unused = (*getattr(paper, "UNUSED", ()), *([] if projects else ["proj"]))
    own = {bare_name(name): tensor for name, tensor in state_dict.items()}
    own = {name: t for name, t in own.items() if not is_one_of(name, unused, own)}
    whole, went = _towers.joined(own)
    state, parts = _taken_apart(whole, getattr(paper, "STACKED", {}))
    tower, _ = _towers.joined(_towers.visual(base))
    state = tower | state
    ours = {theirs: our_name(theirs, names) for theirs in state}
    found = set(ours.values())
    if alone := PATCHES not in found:
        if "tokens_per_frame" not in config:
            raise UserError(
                f"no patch embedding in the {method} file: it holds only what was trained, and "
                "needs CLIP's visual tower beside it (base)"
            )
        tower = _stand_in(config)
        state, ours = tower | state, {name: name for name in tower} | ours
    elif POSITIONS not in found:
        state["pos_embed"], ours["pos_embed"] = _fixed_positions(state, ours, config), POSITIONS
    for theirs in ("temporal_embedding", "time_embed"):
        if theirs in state and state[theirs].shape[-2] != frames:
            count = state[theirs].shape[-2]
            raise UserError(f"frames is {frames}; the file's temporal embedding has {count}")

    vit = _towers.untrained({ours[theirs]: tensor for theirs, tensor in state.items()}, heads)
    told = lookup.find(PAPERS, method)(state, vit, config)
    own_method = "linear_probe" if told is None else getattr(paper, "METHOD", method)
    options = (told or {}) | method_options
    if text is not None:
        options = {"text": text} | options
    head = next((theirs for theirs, name in ours.items() if name == "head.weight"), None)
    if head is None and text is None:
        heads_ = [f"{theirs}.weight" for theirs, name in names.items() if name == "head"]
        wanted = " or ".join(heads_) or "give CLIP's features of the class names as text"
        raise UserError(f"no head in the {method} file ({wanted})")
    classes = len(text if head is None else state[head])  # type: ignore[arg-type]
    before = {f"vit.{name}": parameter for name, parameter in vit.named_parameters()}
    model = adapt(vit, own_method, frames=frames, classes=classes, **options)
    # a method moves and wraps what the ViT has: a parameter is told by being the same one
    after = {id(parameter): name for name, parameter in model.named_parameters()}
    moved = {name: after.get(id(parameter), name) for name, parameter in before.items()}
    ours = {theirs: moved.get(name, name) for theirs, name in ours.items()}
    needed, given = model.state_dict().keys(), {n for each in parts.values() for n in each}
    tensors = {ours[n]: t for n, t in state.items() if n in given or ours[n] in needed}
    if alone:  # what stands in for the tower stays as it was made
        tensors = {n: t for n, t in model.state_dict().items() if n.startswith("vit.")} | tensors
    if text is not None:  # is in the head already
        tensors["head.weight"] = model.head.weight.detach()
    who = {theirs: tuple(ours[n] for n in parts[joined]) for theirs, joined in went.items()}
    return Converted(model, tensors, who)


def paper_of(state_dict: Mapping[str, Tensor], method: str) -> str:
    """Return which paper's file `state_dict` is, of those whose method is our `method`.

    Raises:
        UserError: no paper's is.
    """
    papers = [each for each in lookup.names(PAPERS) if _method_of(each) == method]
    if not papers:
        known = sorted({_method_of(each) for each in lookup.names(PAPERS)})
        raise UserError(f"no converter for {method!r}{nearest(method, known)}")

    def named(paper: str) -> int:
        names = import_module(f"{PAPERS}.{paper}").NAMES
        return sum(our_name(bare_name(each), names) != bare_name(each) for each in state_dict)

    return max(papers, key=named)


def _method_of(paper: str) -> str:
    return str(lookup.fact(PAPERS, paper, "METHOD") or paper)


def our_name(theirs: str, names: Mapping[str, str]) -> str:
    """Return our name of an authors' tensor; its own, where `names` has neither it nor its layer.

    A `*` in `names` stands for a number between dots, the same on both sides: for all there are, or
    for a block's, which is the first, while others are said.
    """
    numbers = iter(re.findall(r"\.(\d+)(?=\.|$)", theirs))
    for name in (theirs, _towers.pattern(theirs), _towers.pattern(theirs, 1)):
        layer, _, kind = name.rpartition(".")
        own = names.get(name) or (f"{names[layer]}.{kind}" if layer in names else None)
        if own is not None:
            return re.sub(r"\*", lambda _: next(numbers), own)
    return theirs


def _paper(method: str) -> ModuleType:
    if method not in (papers := lookup.names(PAPERS)):
        raise UserError(f"no converter for {method!r}{nearest(method, papers)}")
    return import_module(f"{PAPERS}.{method}")


def is_one_of(name: str, patterns: Iterable[str], among: Iterable[str] = ()) -> bool:
    """Return whether a name is, or lies below, one of `patterns`.

    There `*` is a number, and `-1` the largest that a name `among` those given has at its place.
    """

    def lies_below(pattern: str) -> bool:
        known = re.escape(pattern).replace(r"\*", r"\d+").replace(r"\-1", r"(\d+)")
        matches = re.compile(rf"{known}(?:\.|$)").match
        if (found := matches(name)) is None or not found.groups():
            return found is not None
        return int(found[1]) == max(int(each[1]) for each in map(matches, (name, *among)) if each)

    return any(map(lies_below, patterns))


def _taken_apart(
    state: Mapping[str, Tensor], stacked: Mapping[str, int]
) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """Return a state whose stacks over blocks are a tensor per block, and what each became.

    `stacked` says of which block a stack's first is.
    """
    found = dict(state)
    parts: dict[str, tuple[str, ...]] = {name: (name,) for name in state}
    for name in stacked.keys() & state.keys():
        each = {f"{name}.{stacked[name] + i}": t for i, t in enumerate(found.pop(name))}
        found |= each
        parts[name] = tuple(each)
    return found, parts


def _fixed_positions(
    state: Mapping[str, Tensor], ours: Mapping[str, str], config: Mapping[str, Any]
) -> Tensor:
    """Return the sines of a tower whose positions are not in its file, (1, N, D)."""
    if "image_size" not in config:
        raise UserError("no positions in the file; say its image_size in config")
    patches = next(state[theirs] for theirs, name in ours.items() if name == PATCHES)
    grid = int(config["image_size"]) // patches.shape[-1]
    return _towers.sines(grid**2, len(patches))


def _stand_in(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a tower of one block, all zeros, for a reader that comes without one."""
    width, tokens = int(config["width"]), int(config["tokens_per_frame"])
    if math.isqrt(tokens) ** 2 != tokens:
        raise UserError(f"tokens_per_frame is {tokens}, not a square of patches")
    return {
        PATCHES: torch.zeros(width, 3, 8, 8),
        POSITIONS: torch.zeros(1, tokens, width),
        "vit.blocks.0.mlp.fc1.weight": torch.zeros(4 * width, width),
    }


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
