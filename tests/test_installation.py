"""What the targets of make install: a sweep what it needs, the tests everything."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with all that make reads, and no environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def installed(clone: Path, target: str) -> list[str]:
    """Return what pip would be asked to install."""
    command = ["make", "-n", target, f"PYTHON={sys.executable}"]
    printed = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout
    assert printed.count("pip install") == printed.count("-c constraints.txt")
    return re.findall(r"pip install .* -e (\S+)", printed)


@pytest.mark.parametrize("target", ["install", "sweep", "leaderboard"])
def test_what_runs_a_sweep_installs_no_extra(clone: Path, target: str) -> None:
    assert installed(clone, target) == ["."]


@pytest.mark.parametrize("target", ["test", "test-quick", "lint", "format"])
def test_what_tests_adds_its_tools_to_the_same_environment(clone: Path, target: str) -> None:
    assert installed(clone, target) == [".", "'.[dev]'"]


def test_nothing_is_installed_twice(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv/installed").touch()
    assert installed(clone, "sweep") == []
    assert installed(clone, "test") == ["'.[dev]'"]
    (clone / ".venv/installed-dev").touch()
    assert installed(clone, "test") == []


def test_the_tests_have_every_extra() -> None:
    others = {each for name, listed in EXTRAS.items() for each in listed if name != "dev"}
    assert others and others <= set(EXTRAS["dev"])


def test_no_tool_of_an_extra_is_a_dependency() -> None:
    names = {re.split("[<>=]", each)[0] for each in PROJECT["dependencies"]}
    assert not names & {re.split("[<>=]", each)[0] for each in EXTRAS["dev"]}
