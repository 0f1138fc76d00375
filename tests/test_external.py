"""A folder of somebody's own, in BENCHMARK_PATH: its methods, data and recipes beside ours."""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import OF_PYTEST, Process
from made_record import made_record

import benchmark.methods
import datamodules.datasets
from benchmark import lookup
from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.leaderboard.cautions import cautions, marks
from benchmark.leaderboard.tables import tables
from benchmark.recipes import build, compose, tuned
from benchmark.results.staleness import changes
from benchmark.sweeps.jobs import run_command
from benchmark.sweeps.plan import job

METHOD, DATA = "recentre", "early_digits"
RUN = f"quick/{DATA}/vit_digits/{METHOD}"

METHOD_FILE = '''
"""Biases in front of the blocks."""

import torch
from torch import nn

from benchmark.models import VideoViT, blocks

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


class Recentre(nn.Module):
    """Add what trains to all tokens."""

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.bias, self.scale = nn.Parameter(torch.zeros(width)), scale

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + self.scale * self.bias


def recentre(model: VideoViT, *, scale: float = 1.0) -> None:
    """Train a bias, times `scale`, in front of the first norm of every block."""
    for _, block in blocks(model.vit):
        block.norm1 = nn.Sequential(Recentre(model.vit.embed_dim, scale), block.norm1)
'''
DATA_FILE = '''
"""The first of the digits in motion."""

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets.digits_motion import digits_motion


def early_digits(*, train: int = 24, test: int = 16, holdout: int = 8) -> DatasetInfo:
    """Return so many of them."""
    return digits_motion(train=train, test=test, holdout=holdout)
'''
FILES = {
    f"methods/{METHOD}.py": METHOD_FILE,
    f"datasets/{DATA}.py": DATA_FILE,
    f"recipes/methods/{METHOD}.yaml": (
        "# Recentring (nobody, 2026): ViT-B/16, 400 classes: 316,816 parameters.\n"
        f"method:\n  name: {METHOD}\n"
    ),
    f"recipes/data/{DATA}.yaml": f"# Few digits.\ndata:\n  name: {DATA}\n",
    f"recipes/protocols/quick/{METHOD}.yaml": "optim:\n  lr: 1e-2\n",
    "recipes/sweeps/mine.yaml": (
        f"# Mine.\nprotocol: quick\ndata: [{DATA}]\nbackbone: [vit_digits]\n"
        f"method: [{METHOD}, linear_probe]\nseed: [0]\n"
    ),
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of somebody's own, found."""
    for name, text in FILES.items():
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())
    monkeypatch.setenv("BENCHMARK_PATH", str(tmp_path / "own"))
    for package, name in ((benchmark.methods, METHOD), (datamodules.datasets, DATA)):
        monkeypatch.setattr(package, "__path__", list(package.__path__))
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
    return tmp_path / "own"


def test_its_names_stand_beside_ours(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {axis: compose.names(axis) for axis in ("methods", "data", "sweeps")}
    assert METHOD in everything["methods"] and METHOD in lookup.names("benchmark.methods")
    assert DATA in everything["data"] and DATA in lookup.names("datamodules.datasets")
    monkeypatch.delenv("BENCHMARK_PATH")
    for axis, names in everything.items():
        ours = compose.names(axis)
        assert set(names) - set(ours) == {{"methods": METHOD, "data": DATA}.get(axis, "mine")}


def test_a_run_of_it_has_a_recipe_and_a_model(own: Path) -> None:
    recipe = compose.load(RUN, ["method.scale=2"])
    assert recipe.optim.lr == 1e-2 and recipe.method == {"name": METHOD, "scale": 2}
    model, _ = build.model(recipe, 8)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {f"vit.blocks.{i}.norm1.0.bias" for i in range(4)} < trained
    assert model(torch.zeros(1, 3, recipe.clip.frames, 32, 32)).shape == (1, 8)


def test_what_is_wrong_in_it_is_told_with_its_place(own: Path) -> None:
    recipe = own / f"recipes/methods/{METHOD}.yaml"
    with pytest.raises(UserError, match=r"method\.scal"):
        compose.load(RUN, ["method.scal=2"])
    recipe.write_text(f"method:\n  name: {METHOD}\n  width: 3\n")
    with pytest.raises(UserError, match=f"{re.escape(str(recipe))}: .*width"):
        compose.load(RUN)
    recipe.write_text(f"method:\n  name: {METHOD}\noptim:\n  lr: 1\n")
    with pytest.raises(UserError, match="optim"):
        compose.load(RUN)
    (own / f"methods/{METHOD}.py").write_text("FACTS = {}\n")
    with pytest.raises(UserError, match=rf"{METHOD}\.py holds no function '{METHOD}'"):
        lookup.parameters("benchmark.methods", METHOD)


@pytest.mark.parametrize(
    ("file", "ask"),
    [
        ("methods/aim.py", lambda: lookup.names("benchmark.methods")),
        ("datasets/ssv2.py", lambda: lookup.names("datamodules.datasets")),
        ("recipes/methods/aim.yaml", lambda: compose.read("methods/aim")),
    ],
)
def test_a_name_of_ours_is_refused(own: Path, file: str, ask) -> None:  # type: ignore[no-untyped-def]
    (own / file).write_text("")
    with pytest.raises(UserError, match=rf"{re.escape(str(own / file))}: .* has this name already"):
        ask()


def test_a_folder_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_PATH", "/nowhere")
    with pytest.raises(UserError, match="BENCHMARK_PATH=/nowhere: there is no such folder"):
        compose.names("methods")


@pytest.fixture
def relative(own: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder, which is named relative to where this process is."""
    monkeypatch.chdir(own.parent)
    monkeypatch.setenv("BENCHMARK_PATH", "own")
    return own


def test_a_relative_path_holds_for_runs_that_start_elsewhere(relative: Path) -> None:
    assert run_command(job(RUN)).environment["BENCHMARK_PATH"] == str(relative)


def test_a_relative_path_holds_for_the_contract(
    relative: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    ended = subprocess.CompletedProcess("", 0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **how: started.append(how) or ended)
    assert main(["contract", METHOD, "scale=2"]) == 0
    assert started[0]["env"]["BENCHMARK_PATH"] == str(relative)


def test_an_option_that_a_method_does_not_take_is_told_before_its_contract_is_tested(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["contract", METHOD, "scale=wide"]) == 2
    assert f"{METHOD}: scale is 'wide', not float" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (f"recipes/methods/{METHOD}.yaml", "", "names no method, as method: {name: aim} does"),
        (f"recipes/methods/{METHOD}.yaml", "method: {name: [a]}", "names no method"),
        (f"methods/{METHOD}.py", "FACTS = f()", ":1: FACTS is no literal"),
        (f"methods/{METHOD}.py", "FACTS = 3", "FACTS say 3, not true, false or {option: [values]}"),
        (f"methods/{METHOD}.py", "FACTS = {'merges': None}", "FACTS say None, not true"),
    ],
)
def test_what_is_wrong_with_a_claim_is_told_in_one_line(
    own: Path, file: str, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / file).write_text(f"{text}\n")
    for command in (["list", "methods"], ["contract", METHOD]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{METHOD}." in line and told in line


def test_tuning_writes_beside_what_is_tuned(own: Path) -> None:
    assert tuned.path(f"fair/digits_motion/vit_digits/{METHOD}").is_relative_to(own)
    assert tuned.path("fair/digits_motion/vit_digits/lora").is_relative_to(compose.RECIPES)


def test_a_record_is_stale_once_the_file_is_another(own: Path) -> None:
    recipe = compose.load(f"{RUN}/seed0")
    made = made_record(recipe.name, recipe, environment={"external": compose.own_code(recipe)})
    assert set(compose.own_code(recipe)) == {f"methods/{METHOD}.py", f"datasets/{DATA}.py"}
    assert changes(made, recipe) == []
    with (own / f"methods/{METHOD}.py").open("a") as file:
        file.write("# another\n")
    assert changes(made, recipe) == [f"methods/{METHOD}.py: another one"]
    (own / "methods" / "_shared.py").write_text("WIDTH = 8\n")
    assert "methods/_shared.py: another one" in changes(made, recipe)


def test_the_board_marks_its_rows() -> None:
    run = made_record(environment={"external": {"methods/x.py": "ab" * 32}})
    (rows,) = tables([run]).values()
    assert marks(rows[0]) == "⊕"
    (said,) = cautions(rows)
    assert said == "⊕ Of somebody's own folder, not of this suite: methods/x.py (abababab)."


@pytest.mark.slow
def test_a_run_of_it_leaves_a_record_that_says_so(own: Path, tmp_path: Path) -> None:
    env = {**os.environ, "RUNS": str(tmp_path / "runs"), "RESULTS": str(tmp_path / "results")}
    process = Process("benchmark.run", f"{RUN}/seed0", env=env)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    found = json.loads((tmp_path / f"results/{RUN}/seed0.json").read_text())
    said = {
        name: hashlib.sha256((own / name).read_bytes()).hexdigest()
        for name in FILES
        if name.endswith(".py")
    }
    assert found["environment"]["external"] == said
    assert found["cost"]["trained_parameters"] == 4 * 96 + 97 * 8


@pytest.mark.slow
def test_the_contract_holds_it_to_what_it_claims(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = own / f"methods/{METHOD}.py"
    method.write_text(method.read_text().replace('"sees_time": False', '"sees_time": True'))
    said = tmp_path / "said.txt"

    def forked(
        command: list[str], cwd: Path, env: dict[str, str], check: bool
    ) -> "subprocess.CompletedProcess[str]":
        with contextlib.chdir(cwd), said.open("w") as to:
            process = Process(*command[2:], env={**env, **OF_PYTEST}, stdout=to.fileno())
            process.communicate()
        return subprocess.CompletedProcess(command, process.returncode or 0)

    monkeypatch.setattr(subprocess, "run", forked)
    assert main(["contract", METHOD, "scale=0.5"]) == 1
    assert f'say "sees_time": False in FACTS of {method}' in said.read_text()
    assert re.search(r"^4 failed, \d\d passed", said.read_text(), re.M)  # each kind of backbone
    assert main(["contract", METHOD, "scales=1"]) == 2
    assert "has no option 'scales'" in capsys.readouterr().err
