"""Checkpoints hold what was trained, nothing else: megabytes, not gigabytes.

A file is safetensors: the trained parameters under our names, and in its metadata the recipe and a
fingerprint of what was frozen, without which the parameters mean nothing, and which data it was
trained on. A merged model's file holds the whole model. The `.ckpt` a run resumes from is read too.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models.weights import fingerprint
from datamodules.files import atomic_write
from datamodules.identity import DataIdentity

FORMAT = "image-to-video 1"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    parameters: dict[str, Tensor]
    recipe: dict[str, Any]
    frozen: str  # fingerprint of what was frozen; empty for a merged model, which is whole
    merged: bool
    data: DataIdentity | None = None  # that it was trained on; None: nobody noted it


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


def write(
    file: Path,
    model: nn.Module,
    recipe: Mapping[str, Any],
    *,
    merged: bool = False,
    data: DataIdentity | None = None,
) -> None:
    """Write what trains in `model`, or all of a merged one, whole or not at all."""
    tensors = model.state_dict() if merged else trained(model)
    meta = {
        "format": FORMAT,
        "recipe": json.dumps(recipe),
        "base": "" if merged else frozen_fingerprint(model),
        "merged": json.dumps(merged),
        "data": json.dumps(asdict(data) if data else None),
    }
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(file) as stream:
        stream.write(safetensors.torch.save(plain, meta))


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
            return Checkpoint(
                own, content["recipe"], content["base"], False, _data(content.get("data"))
            )
        with safetensors.safe_open(file, "pt") as opened:
            meta = opened.metadata() or {}
            if meta.get("format") != FORMAT:
                raise UserError(f"{file}: not a checkpoint of ours; see `benchmark convert --help`")
            own = {name: opened.get_tensor(name) for name in opened.keys()}
        recipe, merged = json.loads(meta["recipe"]), json.loads(meta["merged"])
        data = _data(json.loads(meta.get("data", "null")))
        return Checkpoint(own, recipe, meta["base"], merged, data)
    except UserError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file}: not a checkpoint that can be read safely ({reason})") from error


def _data(plain: Mapping[str, Any] | None) -> DataIdentity | None:
    """Return which data a checkpoint says it was trained on; older ones say nothing."""
    return None if plain is None else DataIdentity.of(plain)


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
