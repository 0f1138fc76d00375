"""ONNX, by its one door: a program of torch.export as a file, and that file run by onnxruntime."""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from benchmark.errors import UserError

NEEDED = ("onnx", "onnxruntime", "onnxscript")
LARGEST = 2**31 - 2**24  # bytes: protobuf, which ONNX files are, ends at 2 GiB


def demand_installed() -> None:
    """Check that ONNX can be written and run.

    Raises:
        UserError: It is not installed.
    """
    if absent := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(f"ONNX needs {', '.join(absent)}: pip install -e '.[onnx]'")


def write(program: ExportedProgram, file: Path, about: dict[str, Any]) -> None:
    """Write a program from `pixels` to `logits`, and what is known of it as metadata.

    Args:
        program: Of torch.export; its first axis is of any size.
        file: Where to.
        about: Keys and values; those that are no texts are written as JSON.

    Raises:
        UserError: It is too large.
    """
    import onnx

    weights = sum(each.numel() * each.element_size() for each in program.state_dict.values())
    if weights > LARGEST:
        raise UserError(f"{weights / 2**30:.1f} GiB are more than an ONNX file holds: name a .pt2")
    with warnings.catch_warnings():  # of the exporter's own code
        warnings.simplefilter("ignore")
        made = torch.onnx.export(program, (), output_names=["logits"], dynamo=True, verbose=False)
    assert made is not None
    model = made.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString())


def reader(file: Path) -> Any:
    """Return the model in a file as a function of pixels, run by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])

    return run
