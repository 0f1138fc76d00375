"""Checkpoints hold what was trained, nothing else: megabytes, not gigabytes.

A file is safetensors: the trained parameters under our names, and in its metadata the recipe and a
fingerprint of what was frozen, without which the parameters mean nothing. A merged model's file
holds the whole model. The `.ckpt` a run resumes from is read too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models.weights import fingerprint
from datamodules.files import atomic_write

FORMAT = "image-to-video 1"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    parameters: dict[str, Tensor]
    recipe: dict[str, Any]
    frozen: str  # fingerprint of what was frozen; empty for a merged model, which is whole
    merged: bool


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Return the trained parameters of `model`."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def load_trained(model: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Load `parameters`, which must be exactly those that train in `model`.

    Raises:
        ValueError: a parameter is missing, left over, or of another shape.
    """
    own = trained(model)
    if wrong := own.keys() ^ parameters.keys():
        raise ValueError(f"checkpoint and model disagree on {', '.join(sorted(wrong)[:5])}")
    if wrong := {name for name, p in own.items() if p.shape != parameters[name].shape}:
        raise ValueError(f"checkpoint and model disagree on the shape of {sorted(wrong)[0]}")
    model.load_state_dict(parameters, strict=False)


def frozen_fingerprint(model: nn.Module) -> str:
    """Return the SHA-256 of all that is frozen in `model`: names, shapes and float32 values."""
    moving = trained(model)
    return fingerprint({k: t for k, t in model.state_dict().items() if k not in moving})


def write(file: Path, model: nn.Module, recipe: Mapping[str, Any], *, merged: bool = False) -> None:
    """Write what trains in `model`, or all of a merged one, whole or not at all.

    Raises:
        UserError: it is not finite; nothing is written.
    """
    tensors = model.state_dict() if merged else trained(model)
    odd = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if odd:
        raise UserError(
            f"{file} is not written: {len(odd)} of {len(tensors)} tensors are infinite or not a "
            f"number, such as {odd[0]}"
        )
    meta = {
        "format": FORMAT,
        "recipe": json.dumps(recipe),
        "base": "" if merged else frozen_fingerprint(model),
        "merged": json.dumps(merged),
    }
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(file) as stream:
        stream.write(safetensors.torch.save(plain, meta))


def is_checkpoint(file: Path) -> bool:
    """Return whether `file` is a safetensors file that `write` wrote."""
    try:
        with safetensors.safe_open(file, "pt") as opened:
            return (opened.metadata() or {}).get("format") == FORMAT
    except (OSError, safetensors.SafetensorError):
        return False


def read(file: Path) -> Checkpoint:
    """Return what `file` holds: one of ours, or the `.ckpt` of a run.

    Raises:
        UserError: it is neither.
    """
    if not file.is_file():
        raise UserError(f"no checkpoint {file}")
    try:
        if file.suffix == ".ckpt":
            content = torch.load(file, map_location="cpu", weights_only=True)
            own = {name.removeprefix("model."): t for name, t in content["state_dict"].items()}
            return Checkpoint(own, content["recipe"], content["base"], merged=False)
        with safetensors.safe_open(file, "pt") as opened:
            meta = opened.metadata() or {}
            if meta.get("format") != FORMAT:
                raise UserError(f"{file}: not a checkpoint of ours; see `benchmark convert --help`")
            own = {name: opened.get_tensor(name) for name in opened.keys()}
        return Checkpoint(own, json.loads(meta["recipe"]), meta["base"], json.loads(meta["merged"]))
    except UserError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file}: not a checkpoint that can be read safely ({reason})") from error


def load_checkpoint(model: nn.Module, saved: Checkpoint) -> None:
    """Load a checkpoint into a model built by its recipe, merged if the checkpoint is.

    Raises:
        UserError: it is another method's, another shape's, or another base's.
    """
    if saved.merged:
        own = model.state_dict()
        if wrong := own.keys() ^ saved.parameters.keys():
            raise UserError(f"checkpoint and model disagree on {', '.join(sorted(wrong)[:5])}")
        model.load_state_dict(saved.parameters)
        return
    try:
        load_trained(model, saved.parameters)
    except ValueError as error:
        raise UserError(str(error)) from error
    if (here := frozen_fingerprint(model)) != saved.frozen:
        raise UserError(
            f"the checkpoint was trained on frozen weights {saved.frozen[:12]}, this backbone has "
            f"{here[:12]}: give backbone.weights=FILE, the ones it was trained on"
        )
