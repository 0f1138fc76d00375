"""A checkpoint knows which data it was trained on, and refuses to go on or be tested on others."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import make_videos
import numpy as np
import pytest
import safetensors.torch
import torch
from forked import Process
from places import set_places
from safetensors import safe_open
from small_sweep import saved

from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.models import checkpoint
from benchmark.models.checkpoint import Checkpoint
from benchmark.recipes import build, compose
from benchmark.training import train
from benchmark.training.checkpointing import CheckpointGuard
from datamodules.identity import DataIdentity, ListedVideos

DIGITS = "quick/digits_motion/vit_digits/zeroi2v"
OWN = "quick/file_list/vit_digits/linear_probe"
DATA = DataIdentity(
    classes=("ape", "zebra"),
    splits={
        name: ListedVideos(videos=4, sha256=name, names_sha256="names", per_class=(2, 2))
        for name in ("train", "test")
    },
)
OTHER = replace(DATA, classes=("zebra", "ape"))


def test_a_run_goes_on_from_a_checkpoint_of_the_same_data_only() -> None:
    recipe, noted = compose.load(DIGITS), dict[str, Any](callbacks={"TrainingMonitor": {}})
    guard = CheckpointGuard(recipe, "base", DATA)
    guard.on_save_checkpoint(None, None, noted)  # type: ignore[arg-type]
    guard.on_load_checkpoint(None, None, noted)  # type: ignore[arg-type]
    older = {key: value for key, value in noted.items() if key != "data"}
    guard.on_load_checkpoint(None, None, older)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="comes from other data: 2 classes have other") as caught:
        CheckpointGuard(recipe, "base", OTHER).on_load_checkpoint(None, None, noted)  # type: ignore[arg-type]
    assert "data.called=NAME" in str(caught.value) and "--again" in str(caught.value)


@pytest.fixture
def model() -> torch.nn.Module:
    return build.model(compose.load(DIGITS), 8)[0]


def test_a_checkpoints_file_says_which_data_it_was_trained_on(
    model: torch.nn.Module, tmp_path: Path
) -> None:
    file = tmp_path / "ours.safetensors"
    checkpoint.write(file, model, {}, data=DATA)
    assert checkpoint.read(file).data == DATA
    with safe_open(file, "pt") as opened:
        meta = {key: value for key, value in opened.metadata().items() if key != "data"}
    safetensors.torch.save_file(safetensors.torch.load_file(file), file, meta)
    assert checkpoint.read(file).data is None  # as files were before
    state = {"model.head.bias": torch.zeros(2)}
    content = {"state_dict": state, "recipe": {}, "base": "", "data": asdict(DATA)}
    torch.save(content, tmp_path / "last.ckpt")
    assert checkpoint.read(tmp_path / "last.ckpt").data == DATA


@pytest.mark.slow
def test_a_merged_checkpoint_says_it_still(model: torch.nn.Module, tmp_path: Path) -> None:
    file, merged = tmp_path / "ours.safetensors", tmp_path / "merged.safetensors"
    checkpoint.write(file, model, asdict(compose.load(DIGITS)), data=DATA)
    assert main(["merge", str(file), "-o", str(merged)]) == 0
    assert checkpoint.read(merged).data == DATA


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that lists videos, some times over, and gives the overrides for them."""

    def write_lists(*classes: str, times: int = 1) -> list[str]:
        for name in ("ape.mp4", "zebra.mp4"):
            (tmp_path / name).touch()
        (tmp_path / "classes.txt").write_text("\n".join(classes))
        for split in ("train", "test"):
            lines = ["ape.mp4,ape", "zebra.mp4,zebra"] * times
            (tmp_path / f"{split}.csv").write_text("\n".join(lines))
        return [f"data.root={tmp_path}", "data.classes=classes.txt", "cache=false"]

    return write_lists


class ReachedTheModel(Exception):
    """The data was accepted."""


def refusal(data: DataIdentity, overrides: list[str], **more: bool) -> str:
    """Return how the test of a checkpoint of `data` is refused, "" if it is not."""
    noted = Checkpoint({}, {}, "", merged=False, data=data)
    try:
        train.test(noted, compose.load(OWN, overrides), **more)
    except UserError as error:
        return str(error)
    except ReachedTheModel:
        pass
    return ""


@pytest.mark.slow
def test_a_test_on_other_data_is_refused_in_one_line(
    own: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*arguments: object) -> None:
        raise ReachedTheModel

    monkeypatch.setattr(build, "model_of", reached)
    overrides = own("ape", "zebra")
    data = train.identify(build.datamodule(compose.load(OWN, overrides)).data)
    assert refusal(data, overrides) == ""
    more = refusal(data, own("ape", "zebra", times=2))
    assert "trained on other data: 4 train videos, 2 before" in more and "test FILE NAME" in more
    assert refusal(data, overrides, other_videos=True) == ""  # of a run that was named
    for named in (False, True):  # what the head says means nothing for other classes
        said = refusal(data, own("zebra", "ape"), other_videos=named)
        assert "for other classes: 2 classes have other numbers, such as 'zebra': 0, was 1" in said


@pytest.mark.slow
def test_random_weights_of_a_backbone_are_the_seeds_alone() -> None:
    recipe = compose.load(DIGITS, ["backbone.weights=random"])
    _, first = build.model(recipe, 8)
    torch.rand(3)
    assert build.model(recipe, 8)[1] == first
    assert build.model(compose.load(DIGITS, ["backbone.weights=random", "seed=1"]), 8)[1] != first
    state = torch.get_rng_state()
    build.model(recipe, 8)
    assert torch.equal(torch.get_rng_state(), state)


RUN = "quick/folder/vit_digits/zeroi2v"
SMALL = (
    *("backbone.weights=random", "train.batch=4", "train.epochs=1", "optim.warmup=0"),
    *("cache=false", "wandb.enabled=false"),
)


@pytest.mark.slow
def test_on_the_command_line_from_training_to_merging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_places(monkeypatch, tmp_path)

    def run(root: str) -> tuple[int | None, str]:
        started = Process("benchmark.run", RUN, root, *SMALL, env=os.environ)
        _, errors = started.communicate()
        return started.returncode, errors

    for root, classes in (("a", ("ape", "zebra")), ("c", ("cow", "zebra"))):
        for split in ("train", "test"):
            for label in classes:
                place = tmp_path / root / split / label
                place.mkdir(parents=True)
                grey = [np.full((32, 32, 3), 9 * t, np.uint8) for t in range(8)]
                for number in range(4):
                    make_videos.write(place / f"{number}.mp4", grey)
    a, c = (f"data.root={tmp_path / root}" for root in "ac")
    assert run(a)[0] == 0
    (file,) = (tmp_path / "results").rglob("seed0.json")
    listed = json.loads(file.read_text())["data"]["listed"]
    assert listed["train"]["videos"] == 8 and listed["train"]["per_class"] == [4, 4]
    file.unlink()  # as if it had been killed before its end
    code, said = run(c)
    assert code == 2
    assert "the run's checkpoint comes from other data: 2 classes, 2 before" in said
    (place,) = saved(tmp_path, "zeroi2v")
    last, merged = place / "last.ckpt", tmp_path / "merged.safetensors"
    assert main(["test", str(last), RUN, c, *SMALL]) == 2
    assert "trained for other classes" in capsys.readouterr().err.splitlines()[-1]
    assert main(["test", str(last)]) == 0
    assert "top-1, merged" in capsys.readouterr().out
    assert main(["merge", str(last), "-o", str(merged)]) == 0
    assert checkpoint.read(merged).data == checkpoint.read(last).data
