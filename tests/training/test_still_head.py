"""The head on stills: what it says of the embedded backbone before and after a change."""

from functools import cache

import pytest
import torch

from benchmark.models.video_vit import VideoViT
from benchmark.recipes import build, compose
from benchmark.training.examination.still_head import still_head

RECIPE = compose.load("quick/digits_motion/vit_digits/linear_probe", ["clip.frames=1"])


@cache
def probe() -> VideoViT:
    return build.model(RECIPE, 8)[0].eval()


def asked(adapted: VideoViT) -> dict[str, float] | None:
    own = RECIPE.backbone
    return still_head(adapted, probe(), size=32, mean=own.mean, std=own.std)


@pytest.mark.slow
def test_the_frozen_backbone_names_its_own_stills_and_forgets_nothing() -> None:
    found = asked(probe())
    assert found is not None
    assert found["before"] == found["after"] > 0.7  # a tenth by chance


@pytest.mark.slow
def test_what_is_changed_forgets() -> None:
    model = build.model(RECIPE, 8)[0].eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.vit.blocks.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    found = asked(model)
    assert found is not None
    assert found["after"] < found["before"] - 0.1


def test_the_head_does_not_fit_a_feature_of_another_width() -> None:
    model = build.model(RECIPE, 8)[0]
    model.read_by(torch.nn.Identity(), taps=(1,), width=7)
    assert asked(model) is None
