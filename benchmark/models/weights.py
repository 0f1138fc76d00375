"""Weights: tensors read safely from anybody's file, and told apart by their fingerprint."""

import hashlib
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.models.reading import reading


def read_weights(path: Path, *, meta: bool = False) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file, a pickled state dict, or OpenAI's TorchScript.

    With `meta` they are on the meta device: names and shapes, read from the file's header where it
    has one.

    Nothing is unpickled but tensors. OpenAI published CLIP as TorchScript archives; of those the
    state dict is taken, on the CPU, and no code of theirs is run.

    Raises:
        UserError: the file is none of these.
    """
    with reading(path):
        if path.suffix == ".safetensors":
            return _header(path) if meta else safetensors.torch.load_file(path)
        if _is_torchscript(path):
            with warnings.catch_warnings():  # deprecated in torch 2.x; these files stay as they are
                warnings.simplefilter("ignore")
                archive = torch.jit.load(path, map_location="cpu")
            state = dict(archive.state_dict())
            return {name: each.to("meta") for name, each in state.items()} if meta else state
        lazily = meta and zipfile.is_zipfile(path)
        where = "meta" if meta else "cpu"
        content = torch.load(path, map_location=where, weights_only=True, mmap=lazily)
    for key in ("state_dict", "model", "model_state", "module"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise UserError(f"{path}: holds no state dict (a mapping of names to tensors)")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _header(path: Path) -> dict[str, Tensor]:
    with safetensors.safe_open(path, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all names, shapes and float32 values of `tensors`."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
