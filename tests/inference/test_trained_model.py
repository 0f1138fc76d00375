"""The model of a checkpoint: three lines to logits, and what one needs around it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trained import CLASSES, a_checkpoint, a_video

import benchmark
from benchmark.errors import UserError
from benchmark.inference.trained_model import class_names
from benchmark.models import checkpoint
from benchmark.recipes import compose

pytestmark = pytest.mark.slow


def test_three_lines_lead_to_logits(tmp_path: Path) -> None:
    file, video = a_checkpoint(tmp_path, "st_adapter", "test.clips=2", "test.crops=3"), tmp_path
    trained = benchmark.load_checkpoint(file)
    views = trained.views(a_video(video / "a.mp4"))
    logits = trained(views)
    assert trained.classes == CLASSES and not trained.model.training
    assert views.dtype == torch.uint8 and views.shape == (6, 3, 4, 32, 32)
    b = trained.recipe.backbone
    mean, std = (torch.tensor(each).view(-1, 1, 1, 1) for each in (b.mean, b.std))
    with torch.no_grad():
        wanted = trained.model((views / 255.0 - mean) / std)
    assert torch.allclose(logits, wanted, atol=1e-5) and logits.std(dim=1).min() > 0


def test_what_cannot_be_watched_is_told_in_one_line(tmp_path: Path) -> None:
    trained = benchmark.load_checkpoint(a_checkpoint(tmp_path))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    for video in ("broken.mp4", "none.mp4"):
        with pytest.raises(UserError, match=video) as told:
            trained.views(tmp_path / video)
        assert "\n" not in str(told.value)


def test_classes_without_names_are_those_of_the_data_or_numbers(tmp_path: Path) -> None:
    saved = replace(checkpoint.read(a_checkpoint(tmp_path)), data=None)
    recipe = compose.load("quick/folder/vit_digits/aim", [f"data.root={tmp_path}/none"])
    assert class_names(saved, recipe) == tuple(f"class {i}" for i in range(8))
    for name in ("train", "test"):
        for label in "abcdefgh":
            (tmp_path / name / label).mkdir(parents=True)
            (tmp_path / name / label / "x.mp4").touch()
    recipe = compose.load("quick/folder/vit_digits/aim", [f"data.root={tmp_path}"])
    assert class_names(saved, recipe) == tuple("abcdefgh")
