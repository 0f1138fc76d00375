"""What every test shares: one torch thread, no network, every method on every kind of backbone."""

import atexit
import functools
import gc
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

os.environ["OMP_NUM_THREADS"] = "1"  # tiny tensors on busy cores: two threads are 10 x slower
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"

import pytest

if TYPE_CHECKING:  # torch is for those who run tests, not for the process that hands them out
    from tiny import Build
    from torch import Tensor


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests of every method be tests of one, for `benchmark contract`."""
    parser.addoption("--method", help="only what is tested of this recipe of recipes/methods")
    parser.addoption("--smaller", default="{}", help="JSON: options that fit it into a tiny ViT")


def pytest_configure(config: pytest.Config) -> None:
    """Give the one method its options; let xdist's workers, asked for no exit code, end at once."""
    if hasattr(config, "workerinput"):
        atexit.register(os._exit, 0)  # last of all: to take torch apart costs more than a second
    if name := config.getoption("--method"):
        from tiny import METHODS

        METHODS[name].update(json.loads(config.getoption("--smaller")))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Let the garbage collector leave alone what stays: else it is half of the time this takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # what is left frozen, libraries report as leaks


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the one method."""
    if name := config.getoption("--method"):
        kept = [each for each in items if _tested(each) == name]
        config.hook.pytest_deselected(items=[each for each in items if each not in kept])
        items[:] = kept


def _tested(item: pytest.Item) -> object:
    return getattr(item, "callspec", None) and item.callspec.params.get("name")  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, such as how far our methods are from the authors' code."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    for title in sorted({title for report in reports for title, _ in report.user_properties}):
        terminalreporter.section(title)
        for report in reports:
            for own, line in report.user_properties:
                if own == title:
                    terminalreporter.write_line(str(line))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `name` or `backbone` each recipe, each kind, or each pair there is.

    A method stands on every kind of backbone it takes, a further recipe of it on one; those of ONCE
    are quick. Tests of one pair follow each other within a module, and can share its model.
    """
    marks = metafunc.definition.iter_markers("parametrize")
    given = {word for mark in marks for word in _words(mark.args[0])}
    asked = {"name", "backbone"} & set(metafunc.fixturenames) - given
    if not asked:
        return
    from tiny import BACKBONES, METHODS, ONCE, PAIRS

    if asked == {"name", "backbone"}:
        slow = pytest.mark.slow
        pairs = [pytest.param(*each, marks=() if each in ONCE else slow) for each in PAIRS]
        metafunc.parametrize(("name", "backbone"), pairs, scope="module")
    else:
        each = asked.pop()
        metafunc.parametrize(each, METHODS if each == "name" else BACKBONES, scope="module")


def _words(names: str | tuple[str, ...]) -> list[str]:
    return names.replace(" ", "").split(",") if isinstance(names, str) else list(names)


@pytest.fixture
def build(backbone: str) -> "Build":
    """Return `construct` for the backbone under test."""
    from tiny import construct

    return functools.partial(construct, backbone)


@pytest.fixture
def video() -> "Tensor":
    """Return three clips (B, C, T, H, W)."""
    import torch
    from tiny import FRAMES, SIZE

    return torch.randn(3, 3, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
