"""What every test shares: one torch thread, no network, every method on every kind of backbone."""

import functools
import os

os.environ["OMP_NUM_THREADS"] = "1"  # tiny tensors on busy cores: two threads are 10 x slower
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"

import pytest
import torch
from tiny import BACKBONES, FRAMES, METHODS, SIZE, Build, construct
from torch import Tensor

torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, such as how far our methods are from the authors' code."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    for title in sorted({title for report in reports for title, _ in report.user_properties}):
        terminalreporter.section(title)
        for report in reports:
            for own, line in report.user_properties:
                if own == title:
                    terminalreporter.write_line(str(line))


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def build(backbone: str) -> Build:
    """Return `construct` for the backbone under test."""
    return functools.partial(construct, backbone)


@pytest.fixture
def video() -> Tensor:
    """Return three clips (B, C, T, H, W)."""
    return torch.randn(3, 3, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
