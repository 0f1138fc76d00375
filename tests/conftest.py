"""What every test shares: one torch thread, no network, three kinds of backbone, a tiny clip."""

import functools
import os

os.environ["OMP_NUM_THREADS"] = "1"  # tiny tensors on busy cores: two threads are 10 x slower
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor

from benchmark import recipe
from benchmark.lookup import find
from benchmark.model import VideoViT

torch.set_num_threads(1)

FRAMES, CLASSES, SIZE = 4, 5, 32

Build = Callable[..., VideoViT]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, such as how far our methods are from the authors' code."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    for title in sorted({title for report in reports for title, _ in report.user_properties}):
        terminalreporter.section(title)
        for report in reports:
            for own, line in report.user_properties:
                if own == title:
                    terminalreporter.write_line(str(line))


# Every recipe in recipes/methods is under test by being there; some in a size that fits a tiny ViT.
SMALLER: dict[str, dict[str, object]] = {
    "prompt_tuning": {"tokens": 3},
    "st_adapter": {"width": 12},
}
METHODS: dict[str, dict[str, object]] = {
    name: {
        **(method := recipe.read(f"methods/{name}")["method"]),
        **SMALLER.get(method["name"], {}),
    }
    for name in recipe.names("methods")
}

BACKBONES: dict[str, dict[str, object]] = {
    "class token": {"pre_norm": True},
    "registers": {"reg_tokens": 2, "init_values": 0.1},
    "no class token": {"class_token": False, "global_pool": "avg"},
}


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def construct(backbone: str, name: str, seed: int = 0, **options: object) -> VideoViT:
    """Return a tiny ViT of kind `backbone`, changed by the recipe `name`."""
    torch.manual_seed(seed)
    given = {"img_size": SIZE, "depth": 2, "num_classes": 0, **BACKBONES[backbone]}
    model = VideoViT(timm.create_model("test_vit", **given), frames=FRAMES, num_classes=CLASSES)
    options = {**METHODS[name], **options}
    find("benchmark.methods", str(options.pop("name")))(model, **options)
    return model


@pytest.fixture
def build(backbone: str) -> Build:
    """Return `construct` for the backbone under test."""
    return functools.partial(construct, backbone)


@pytest.fixture
def video() -> Tensor:
    """Return three clips (B, C, T, H, W)."""
    return torch.randn(3, 3, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
