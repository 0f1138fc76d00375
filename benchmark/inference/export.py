"""A trained model as one file that runs without this suite: torch.export's `.pt2`, or ONNX.

What is exported maps pixels, uint8 (B, T, H, W, C) as decoders give them, B of any size, to logits
(B, K): normalisation is inside, and what merges is merged. Beside it, in the file's metadata, lie
the names of the classes and how a clip is made of a video.
"""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from benchmark.errors import UserError
from benchmark.inference.trained_model import Normalised, TrainedModel
from datamodules.files import atomic_path

SUFFIXES = (".pt2", ".onnx")
METADATA = "metadata.json"  # of a .pt2: its extra file; ONNX has keys of its own
TOLERANCE = 1e-4  # of the largest logit, from PyTorch's
BATCHES = (1, 2, 3)  # clips at once, of the check

Run = Callable[[Tensor], Tensor]  # pixels, uint8 (B, T, H, W, C), to logits (B, K)


class FromPixels(nn.Module):
    """A model of (B, C, T, H, W) that takes frames as decoders give them, channels last."""

    def __init__(self, model: Normalised) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels, uint8 (B, T, H, W, C), to logits (B, K)."""
        logits: Tensor = self.model(pixels.permute(0, 4, 1, 2, 3))
        return logits


def demand_exportable(file: Path) -> None:
    """Check, before any work, that there is an exporter for a file of this name.

    Raises:
        UserError: There is none, or it is not installed.
    """
    if file.suffix not in SUFFIXES:
        raise UserError(f"-o {file}: name a file that ends in {' or '.join(SUFFIXES)}")
    if file.suffix == ".onnx":
        from benchmark.inference.onnx_file import demand_installed

        demand_installed()


def export(trained: TrainedModel, file: Path) -> dict[str, float]:
    """Write a model to `file`, checked, whole or not at all.

    The file as it lies there is run on clips of random pixels, one and several at once, and held
    against the model itself, as it is before anything merges.

    Args:
        trained: The model.
        file: `.pt2` or `.onnx`.

    Returns:
        "difference": The largest of a logit from the model's, as a share of the largest logit.

    Raises:
        UserError: The two do not agree, or the model is too large for the format.
    """
    whole = FromPixels(Normalised(trained.model.merged_or_self(), *_moments(trained))).eval()
    clips = _clips(trained)
    with torch.no_grad():
        program = torch.export.export(
            whole, (clips[:2],), dynamic_shapes=({0: Dim("batch", min=1)},)
        )
    with atomic_path(file) as beside:
        run = _written(program, beside, metadata(trained), onnx=file.suffix == ".onnx")
        own = FromPixels(trained.pixels()).eval()
        difference = _difference(run, own, clips)
        if not difference <= TOLERANCE:
            raise UserError(
                f"{file} is not written: its logits differ from the model's by {difference:.1e} of "
                f"the largest, more than {TOLERANCE:.0e}"
            )
    return {"difference": difference}


def metadata(trained: TrainedModel) -> dict[str, Any]:
    """Return what must be known to use a model: its classes, and how a clip is made of a video."""
    recipe = trained.recipe
    clip, test = recipe.clip, recipe.test
    return {
        "name": recipe.name,
        "input": "uint8 (batch, frames, height, width, RGB)",
        "output": "logits (batch, classes); over the views of a video their softmax is averaged",
        "classes": list(trained.classes),
        "clip": {
            "sampling": test.sampling or clip.sampling,
            "frames": clip.frames,
            "interval": clip.interval,
            "seconds": clip.seconds,
            "size": clip.size,
            "short_side": test.short_side or clip.size,
            "interpolation": clip.interpolation,
            "clips": test.clips,
            "crops": test.crops,
        },
    }


def _moments(trained: TrainedModel) -> tuple[list[float], list[float]]:
    return trained.recipe.backbone.mean, trained.recipe.backbone.std


def _clips(trained: TrainedModel) -> Tensor:
    """Return as many clips of random pixels as the check takes, every one another."""
    clip = trained.recipe.clip
    shape = (max(BATCHES), clip.frames, clip.size, clip.size, 3)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()


def _written(program: ExportedProgram, file: Path, about: dict[str, Any], *, onnx: bool) -> Run:
    """Write `file` and return it, read again, as a function."""
    if onnx:
        from benchmark.inference import onnx_file

        onnx_file.write(program, file, about)
        return onnx_file.reader(file)
    content = io.BytesIO()  # to a file it complains of names that do not end in .pt2
    torch.export.save(program, content, extra_files={METADATA: json.dumps(about)})
    file.write_bytes(content.getbuffer())
    loaded: Run = torch.export.load(io.BytesIO(file.read_bytes())).module()
    return loaded


@torch.no_grad()
def _difference(run: Run, own: nn.Module, clips: Tensor) -> float:
    """Return the largest difference of two models, as a share of the largest logit."""
    worst = 0.0
    for size in BATCHES:
        wanted, found = own(clips[:size]), run(clips[:size])
        change = float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))
        worst = max(worst, change if math.isfinite(change) else math.inf)
    return worst
