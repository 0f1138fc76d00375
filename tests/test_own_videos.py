"""The README's "Your own videos": every command of it, on videos that this test writes."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from make_videos import write
from numpy.typing import NDArray
from places import set_places

from benchmark.cli.parser import main
from datamodules import files
from datamodules.files import ROOT

# What a test can pay for: the embedded backbone, which is no download, at its own size, on a CPU.
SMALL = [
    *("clip.size=32", "train.epochs=3", "train.batch=8", "train.augment.flip=0"),
    *("trainer.accelerator=cpu", "workers=0", "wandb.enabled=false", "optim.lr=5e-3"),
]


def moving(rightwards: bool, seed: int) -> list[NDArray[np.uint8]]:
    """Return pictures of a bright square in a colour of its class, moving."""
    rng = np.random.default_rng(seed)
    top, pictures = int(rng.integers(8, 24)), []
    for step in range(12):
        picture = rng.integers(0, 40, (48, 64, 3)).astype(np.uint8)
        left = 4 + 4 * step if rightwards else 48 - 4 * step
        picture[top : top + 14, left : left + 14, 0 if rightwards else 2] = 255
        pictures.append(picture)
    return pictures


def commands() -> list[list[str]]:
    page = (ROOT / "README.md").read_text()
    section = page.partition("## Your own videos\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for line in block.splitlines()]


@pytest.mark.slow
def test_a_folder_of_clips_becomes_predictions_on_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_places(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 16), ("test", 4)):
        for right in (True, False):
            folder = tmp_path / "videos" / split / ("right" if right else "left")
            folder.mkdir(parents=True)
            for i in range(count):
                write(folder / f"{i}.mp4", moving(right, 100 * right + i + 50 * (split == "test")))
    write(tmp_path / "new.mp4", moving(True, 999))
    ran, told = [], ""
    for program, verb, *words in commands():
        assert program == "benchmark"
        words = [each.replace("~/", f"{tmp_path}/") for each in words]
        words = [each.replace("vit_b16_clip", "vit_digits") for each in words]
        checkpoints = [str(each) for each in files.RUNS.rglob("last.ckpt")]
        words = [checkpoints[0] if each.endswith("last.ckpt") else each for each in words]
        words += SMALL if verb == "run" else []
        assert main([verb, *words]) == 0, capfd.readouterr().err
        ran.append(verb)
        out = capfd.readouterr().out
        told = out if verb == "predict" else told
    assert ran == ["audit", "prepare", "run", "predict", "explain", "export"]
    assert re.match(r"\S+/new\.mp4\n +[\d.]+ %  right\n +[\d.]+ %  left\n", told)
    assert all((tmp_path / each).stat().st_size > 1000 for each in ("new.png", "why.png"))
    (checkpoint,) = files.RUNS.rglob("last.ckpt")
    card = checkpoint.with_suffix(".md").read_text()
    assert "Of 8 test videos." in card and "Classes: left, right." in card
    assert (tmp_path / "mine.pt2").is_file() and "| top-1 |" in (tmp_path / "mine.md").read_text()
    (record,) = (tmp_path / "results").rglob("seed0.json")
    assert json.loads(record.read_text())["metrics"]["top1"] >= 0.75
