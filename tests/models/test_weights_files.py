"""From an authors' file to an accuracy, on the command line: convert, test, merge, test."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from places import FIXTURES
from safetensors import safe_open
from torch import nn

from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.models import checkpoint

GOLDEN = FIXTURES / "reference" / "golden"


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], tuple[Path, Path, list[str]]]:
    """Return a function that writes an authors' checkpoint and the CLIP tower it stands on."""

    def files(stem: str) -> tuple[Path, Path, list[str]]:
        with safe_open(GOLDEN / f"{stem}.safetensors", "pt") as file:
            config = json.loads(file.metadata()["config"])
            names = [name for name in file.keys() if name.startswith("weights.")]
            state = {name.removeprefix("weights."): file.get_tensor(name) for name in names}
        for name, tensor in state.items():  # 7 classes there, 8 motions here
            if name.startswith(("fc.", "cls_head.")):
                state[name] = torch.cat([tensor, tensor[:1] - 1])
        official, clip = tmp_path / "official.pth", tmp_path / "clip.safetensors"
        torch.save({"state_dict": state, "meta": {"epoch": 50}}, official)
        bare = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
        tower = {
            f"visual.{name}": tensor
            for name, tensor in bare.items()
            if not any(part in name for part in ("dapter", "temporal_embedding", "fc.", "fc_cls"))
            or ".mlp.c_fc." in name
        }
        # what tells CLIP's files apart, and what timm's reader wants to see in them
        tower["visual.proj"] = torch.zeros(config["width"], 32)
        safetensors.torch.save_file({k: v.contiguous() for k, v in tower.items()}, clip)
        overrides = [
            "backbone.name=vit_base_patch16_clip_quickgelu_224.openai",
            f"backbone.weights={clip}",
            *(f"backbone.options.{key}={value}" for key, value in sizes(config).items()),
            "clip.frames=4",
            "trainer.accelerator=cpu",
            "data.train=16",
            "data.holdout=16",
            "data.test=16",
            f"data.root={tmp_path}",
        ]
        return official, clip, overrides

    return files


def sizes(config: dict[str, int]) -> dict[str, int]:
    return {
        "patch_size": config["patch_size"],
        "embed_dim": config["width"],
        "depth": config["layers"],
        "num_heads": config["heads"],
    }


RUN = "quick/digits_motion/vit_b16_clip/"


def percentages(out: str) -> dict[str, float]:
    """Return the numbers of `test`'s table by their names."""
    found = (re.fullmatch(r"(\S.*?)  +(-?[\d.]+)", line) for line in out.splitlines())
    return {each[1]: float(each[2]) for each in found if each}


@pytest.mark.slow
def test_convert_test_and_merge(
    files: Callable[[str], tuple[Path, Path, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    official, _, overrides = files("zeroi2v_k400")
    overrides += ["method.scale=0.5", "method.shifts={-2: 0, 2: 0}"]

    converted, merged = tmp_path / "ours.safetensors", tmp_path / "merged.safetensors"
    assert main(["convert", str(official), f"{RUN}zeroi2v", "-o", str(converted), *overrides]) == 0
    saved = checkpoint.read(converted)
    assert sum(p.numel() for p in saved.parameters.values()) == 10_327 + 49
    capsys.readouterr()

    assert main(["test", str(converted)]) == 0
    out = capsys.readouterr().out
    before = percentages(out)
    assert before["top-1, merged"] == before["top-1"] and before["chance: the most frequent class"]
    change = re.search(r"merging changes a probability by (\S+) at most", out)
    assert change and float(change[1]) < 1e-5
    assert out.startswith("16 test videos of digits_motion, 1 view of each; ")

    assert main(["merge", str(converted), "-o", str(merged)]) == 0
    capsys.readouterr()
    assert main(["test", str(merged)]) == 0
    assert percentages(capsys.readouterr().out)["top-1"] == before["top-1"]


@pytest.mark.slow
def test_a_checkpoint_of_nans_is_neither_tested_nor_merged(
    files: Callable[[str], tuple[Path, Path, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    official, _, overrides = files("zeroi2v_k400")
    overrides += ["method.scale=0.5", "method.shifts={-2: 0, 2: 0}"]
    whole, broken, out = (tmp_path / f"{name}.safetensors" for name in ("it", "nan", "out"))
    assert main(["convert", str(official), f"{RUN}zeroi2v", "-o", str(whole), *overrides]) == 0
    with safe_open(whole, "pt") as file:
        state = {name: torch.full_like(file.get_tensor(name), torch.nan) for name in file.keys()}
        safetensors.torch.save_file(state, broken, file.metadata())
    capsys.readouterr()
    assert main(["test", str(broken)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: the scores of 16 of 16 videos are not finite")
    assert main(["merge", str(broken), "-o", str(out)]) == 2
    assert f"error: {out} is not written: " in capsys.readouterr().err and not out.exists()


@pytest.mark.slow
def test_a_file_of_only_what_trained_needs_the_tower(
    files: Callable[[str], tuple[Path, Path, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    official, clip, overrides = files("st_adapter_pre_mlp")
    overrides += ["method.width=24"]
    state = torch.load(official, weights_only=True)["state_dict"]
    only = {k: v for k, v in state.items() if "adapter" in k or k.startswith("fc.")}
    torch.save({"model": only, "next_epoch": 12}, official)
    arguments = ["convert", str(official), f"{RUN}st_adapter_mlp", *overrides]
    assert main(arguments) == 2
    assert "needs CLIP's visual tower" in capsys.readouterr().err
    assert main([*arguments, "--base", str(clip), "-o", str(tmp_path / "it.safetensors")]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("st_adapter_mlp", "no adapter of st_adapter"),
        ("aim_four", "is not what|describes"),
        ("linear_probe", "no converter for 'linear_probe'"),
    ],
)
def test_a_file_of_another_method_is_refused(
    files: Callable[[str], tuple[Path, Path, list[str]]],
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    message: str,
) -> None:
    official, _, overrides = files("aim_k400")
    assert main(["convert", str(official), f"{RUN}{recipe}", *overrides]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert any(part in error for part in message.split("|"))


@pytest.mark.slow
def test_another_base_is_refused(
    files: Callable[[str], tuple[Path, Path, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    official, clip, overrides = files("aim_k400")
    out = tmp_path / "ours.safetensors"
    assert main(["convert", str(official), f"{RUN}aim", "-o", str(out), *overrides]) == 0
    tower = safetensors.torch.load_file(clip)
    tower["visual.conv1.weight"] += 1e-3
    safetensors.torch.save_file(tower, clip)
    capsys.readouterr()
    assert main(["test", str(out)]) == 2
    assert "was trained on frozen weights" in capsys.readouterr().err


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "b.ckpt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a checkpoint of ours"):
        checkpoint.read(tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"b\.ckpt: is broken"):
        checkpoint.read(tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint.read(tmp_path / "c.ckpt")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a checkpoint, what points at it, and what is none."""
    checkpoint.write(tmp_path / "it.safetensors", nn.Linear(2, 2), {})
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "it.safetensors")
    os.link(tmp_path / "it.safetensors", tmp_path / "hard.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "text.safetensors").write_text("a letter")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    (tmp_path / "old.ckpt").write_text("a run's")
    return tmp_path


OUTPUTS = {
    "it.safetensors": "is the file that is read",
    "link.safetensors": "is the file that is read",
    "hard.safetensors": "is the file that is read",
    "folder.safetensors": "is no regular file",
    "pipe.safetensors": "is no regular file",
    "/dev/null": "is no regular file",
    "text.safetensors": "holds something else",
    "weights.safetensors": "holds something else",
    "old.ckpt": "name a .safetensors file",
    "new.ckpt": "name a .safetensors file",
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("verb", ["merge", "convert"])
def test_nothing_but_an_older_output_is_ever_replaced(
    place: Path, capsys: pytest.CaptureFixture[str], verb: str, output: str
) -> None:
    def state() -> dict[Path, object]:
        return {each: each.is_file() and each.read_bytes() for each in place.iterdir()}

    before = state()
    run = [RUN + "aim"] if verb == "convert" else []
    read, written = place / "it.safetensors", place / output
    assert main([verb, str(read), *run, "-o", str(written)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"-o {written}: " in error and OUTPUTS[output] in error
    assert state() == before and Path("/dev/null").is_char_device()


def test_a_pretrained_backbone_replaces_no_checkpoint(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", "--output", str(place / "it.safetensors")]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert checkpoint.is_checkpoint(place / "it.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("merged", [False, True])
def test_what_is_not_finite_is_not_written(tmp_path: Path, value: float, merged: bool) -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.bias[1] = value
    with pytest.raises(UserError, match=r"1 of 2 tensors are infinite .* such as bias"):
        checkpoint.write(tmp_path / "it.safetensors", model, {}, merged=merged)
    assert not [*tmp_path.iterdir()]
