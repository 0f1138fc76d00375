"""Checkpoints hold what was trained, nothing else: megabytes, not gigabytes.

A file is safetensors: the trained parameters under our names, with the running statistics of batch
norms that train, and in its metadata the recipe and a fingerprint of what was frozen, without which
the parameters mean nothing, and which data it was trained on. A merged model's file holds the whole
model. The `.ckpt` a run resumes from is read too.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models.reading import reading
from benchmark.models.weights import fingerprint
from datamodules.files import atomic_write
from datamodules.identity import DataIdentity

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
FORMAT = "image-to-video 1"
AFRESH = "its run starts afresh with --again, or where the file is deleted"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    parameters: dict[str, Tensor]
    recipe: dict[str, Any]
    frozen: str  # fingerprint of what was frozen; empty for a merged model, which is whole
    merged: bool
    data: DataIdentity | None = None  # that it was trained on; None: nobody noted it


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes in `model`: trained parameters, statistics of batch norms."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return parameters | statistics(model)


def statistics(model: nn.Module) -> dict[str, Tensor]:
    """Return the running statistics of the batch norms in `model`, but for frozen ones."""
    return {
        f"{path}.{name}": tensor
        for path, module in model.named_modules()
        if isinstance(module, BATCH_NORMS) and all(p.requires_grad for p in module.parameters())
        for name, tensor in module.named_buffers(recurse=False)
    }


def load_trained(model: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Load `parameters`, which must be exactly what `trained` returns of `model`.

    Raises:
        ValueError: a tensor is missing, left over, or of another shape.
    """
    _demand_same(trained(model), parameters)
    model.load_state_dict(parameters, strict=False)


def _demand_same(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise a ValueError unless a model's tensors and a checkpoint's agree in names and shapes."""
    if wrong := own.keys() ^ found.keys():
        raise ValueError(f"checkpoint and model disagree on {', '.join(sorted(wrong)[:5])}")
    if wrong := {name for name, tensor in own.items() if tensor.shape != found[name].shape}:
        first = min(wrong)
        raise ValueError(
            f"checkpoint and model disagree on the shape of {first}: "
            f"{tuple(found[first].shape)} and {tuple(own[first].shape)}"
        )


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
        "data": json.dumps(asdict(data) if data else None),
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
    if not os.path.lexists(file):
        raise UserError(f"no checkpoint {file}")
    of_run = file.suffix == ".ckpt"
    with reading(file, AFRESH if of_run else ""):
        if of_run:
            content = torch.load(file, map_location="cpu", weights_only=True)
            own = {name.removeprefix("model."): t for name, t in content["state_dict"].items()}
            data = _data(content.get("data"))
            found = Checkpoint(own, content["recipe"], content["base"], False, data)
        else:
            with safetensors.safe_open(file, "pt") as opened:
                meta = opened.metadata() or {}
                if meta.get("format") != FORMAT:
                    raise UserError(
                        f"{file}: not a checkpoint of ours; see `benchmark convert --help`"
                    )
                own = {name: opened.get_tensor(name) for name in opened.keys()}
            plain = json.loads(meta["recipe"]), meta["base"], json.loads(meta["merged"])
            found = Checkpoint(own, *plain, _data(json.loads(meta.get("data", "null"))))
    _demand(found, file)
    return found


def demand_resumable(file: Path) -> None:
    """Check that a run can go on from `file`, as far as can be told without reading its tensors.

    Raises:
        UserError: it is broken, or no checkpoint of a run.
    """
    with reading(file, AFRESH):
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        lacks = {"state_dict", "recipe", "base", "callbacks", "loops"} - content.keys()
    if lacks:
        raise UserError(f"{file}: is no checkpoint of a run, it lacks {sorted(lacks)[0]}; {AFRESH}")


def _demand(found: Checkpoint, file: Path) -> None:
    """Raise a UserError if a checkpoint that was read holds what no checkpoint holds."""
    heads = [t for name, t in found.parameters.items() if name.startswith("head.")]
    bias = found.parameters.get("head.bias", torch.zeros(1))  # heads of text have none
    wrong = {
        "its recipe is no mapping": not isinstance(found.recipe, Mapping),
        "its fingerprint is no text": not isinstance(found.frozen, str),
        "nothing says whether it is merged": not isinstance(found.merged, bool),
        "it holds no head": not heads or bias.ndim != 1 or not len(bias),
    }
    for what in (each for each, so in wrong.items() if so):
        raise UserError(f"{file}: not a checkpoint of ours: {what}")


def _data(plain: Mapping[str, Any] | None) -> DataIdentity | None:
    """Return which data a checkpoint says it was trained on; older ones say nothing."""
    return None if plain is None else DataIdentity.of(plain)


def load_checkpoint(model: nn.Module, saved: Checkpoint) -> None:
    """Load a checkpoint into a model built by its recipe, merged if the checkpoint is.

    Raises:
        UserError: it is another method's, another shape's, or another base's.
    """
    try:
        if saved.merged:
            _demand_same(model.state_dict(), saved.parameters)
            model.load_state_dict(saved.parameters)
            return
        load_trained(model, saved.parameters)
    except ValueError as error:
        raise UserError(str(error)) from error
    if (here := frozen_fingerprint(model)) != saved.frozen:
        raise UserError(
            f"the checkpoint was trained on frozen weights {saved.frozen[:12]}, this backbone has "
            f"{here[:12]}: give backbone.weights=FILE, the ones it was trained on"
        )
