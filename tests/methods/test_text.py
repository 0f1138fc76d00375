"""Heads of text, and what is the authors' own only with one: the counts of DiST and Vita-CLIP."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from tiny import CLASSES, FRAMES, SIZE, construct
from torch import Tensor
from torch.nn import functional as F

from benchmark.cost import counts
from benchmark.errors import UserError
from benchmark.inference.trained_model import load_checkpoint
from benchmark.methods import adapt
from benchmark.methods._text import TextHead, text_features
from benchmark.models import checkpoint
from benchmark.recipes import build, compose
from benchmark.recipes.buildable import demand_buildable

NAMES = {
    "B16": "vit_base_patch16_clip_quickgelu_224",
    "L14": "vit_large_patch14_clip_quickgelu_224",
}
SPACE = {"B16": 512, "L14": 768}  # of CLIP's text
UNREAD = 384 * 96 + 96  # what DiST's last stage tells the temporal net, trained without a gradient


def text(*, space: int = 6) -> Tensor:
    return torch.randn(CLASSES, space, generator=torch.Generator().manual_seed(3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "frames", "pooling", "authors"),
    [  # golden_field/param_counts_video.json, text's features not counted
        ("B16", 16, 2, 19_001_184),
        ("B16", 16, 4, 26_105_184),
        ("B16", 32, 2, 19_044_192),
        ("B16", 64, 4, 26_252_640),
        ("L14", 16, 4, 39_609_696),
        ("L14", 64, 4, 39_867_744),
    ],
)
def test_dist_trains_what_the_authors_do(
    size: str, frames: int, pooling: int, authors: int
) -> None:
    with torch.device("meta"):
        vit = timm.create_model(NAMES[size], num_classes=0)
        names = torch.ones(400, SPACE[size])
        model = adapt(vit, "dist", frames=frames, classes=400, pooling=pooling, text=names)
    assert counts.parameters(model, trained=True) == authors - UNREAD


@pytest.mark.slow
def test_vita_clip_trains_what_the_authors_do() -> None:
    """Prompts, summaries and the scale; 7,087,104 more where the projection of tokens trains."""
    projection, trained = torch.ones(768, 512), []
    for also in (False, True):
        with torch.device("meta"):
            vit = timm.create_model(NAMES["B16"], num_classes=0)
            given = {"text": torch.ones(400, 512), "projection": projection}
            model = adapt(vit, "vita_clip", frames=8, classes=400, train_projection=also, **given)
        trained.append(counts.parameters(model, trained=True))
    assert trained == [28_520_448 + 1, 28_520_448 + 1 + 7_087_104]


def test_a_head_of_text_is_a_hundred_cosines() -> None:
    projection = torch.randn(4, 6)
    head = TextHead(text(), 4, projection=projection, train_scale=False)
    x = torch.randn(2, 4)
    cosines = F.cosine_similarity((x @ projection)[:, None], text()[None], dim=-1)
    torch.testing.assert_close(head(x), 100 * cosines)
    assert not any(p.requires_grad for p in head.parameters())
    free = TextHead(text(), 4, projection=None, train_scale=True)
    assert {n for n, p in free.named_parameters() if p.requires_grad} == {"proj", "logit_scale"}


def test_text_is_read_from_every_kind_of_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", text().numpy())
    save_file({"anything": text()}, tmp_path / "b.safetensors")
    torch.save({"text_features": text(), "other": torch.ones(2, 2)}, tmp_path / "c.pt")
    for file in tmp_path.iterdir():
        assert torch.equal(text_features(str(file)), text()), file.name


def test_files_that_hold_no_text_are_told_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    save_file({"a": text(), "b": text()}, tmp_path / "two.safetensors")
    for name, said in (("flat", "no matrix"), ("objects", "broken"), ("two", "no matrix")):
        file = next(tmp_path.glob(f"{name}.*"))
        with pytest.raises(UserError, match=f"{name}.*{said}"):
            text_features(str(file))
    with pytest.raises(UserError, match="No such file"):
        text_features(str(tmp_path / "none.npy"))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("dist", {"text": text()[:4]}, "features of 4 classes; there are 5"),
        ("dist", {"width": 65}, "width is 65, not a multiple of 64"),
        ("dist", {"stride": 3}, "stride is 3, which does not divide 4 frames"),
        ("vita_clip", {"text": text()}, "come together"),
        (
            "vita_clip",
            {"text": text(), "projection": torch.ones(3, 6)},
            r"projection is \(3, 6\), not \(64, 6\)",
        ),
    ],
)
def test_what_does_not_fit_is_told(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        construct("class token", name, **options)


def test_the_tower_sees_every_second_frame_and_the_net_all(video: Tensor) -> None:
    model = construct("class token", "dist").eval()
    seen: list[Tensor] = []
    model.vit.patch_embed.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    before = model(video)
    assert torch.equal(seen[0], video[:, :, ::2].transpose(1, 2).flatten(0, 1))
    changed = video.clone()
    changed[:, :, 1] += 1
    assert not torch.allclose(model(changed), before)
    assert torch.equal(seen[1], seen[0])


@pytest.mark.slow
def test_a_checkpoint_with_a_head_of_text_is_loaded_with_its_text(tmp_path: Path) -> None:
    save_file({"text": text()}, tmp_path / "text.safetensors")
    file = tmp_path / "trained.safetensors"
    small = ["method.width=64", f"method.text={tmp_path / 'text.safetensors'}"]
    small += ["data.train=32", "data.holdout=16", "data.test=16", f"clip.frames={FRAMES}"]
    recipe = compose.load("quick/digits_motion/vit_digits/dist", small)
    demand_buildable(recipe)  # of any number of classes but where text tells
    model, _ = build.model(recipe, CLASSES)
    checkpoint.write(file, model, asdict(recipe))
    again = load_checkpoint(file).model
    clip = torch.randn(1, 3, FRAMES, SIZE, SIZE)
    assert torch.equal(again(clip), model.eval()(clip))
    save_file({"text": -text()}, tmp_path / "text.safetensors")
    with pytest.raises(UserError, match="frozen weights"):
        load_checkpoint(file)
