"""Exported models: every method's, checked, and run by the README's lines without this suite."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny as tiny_models
import torch
from awake import wake
from safetensors.torch import load_file, save_file
from tiny import CLASSES, FRAMES, METHODS, construct, is_first_of_its_method
from torch import Tensor, nn
from trained import a_checkpoint, a_video

import benchmark
from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.inference import export as exporting
from benchmark.inference import onnx_file
from benchmark.inference.export import export
from benchmark.inference.predict import predict
from benchmark.inference.trained_model import Normalised, TrainedModel
from benchmark.recipes import compose
from datamodules.files import ROOT

HAS_ONNX = all(map(find_spec, onnx_file.NEEDED))
# The other methods' layers are among those of these, and torch.export takes every one.
AS_ONNX = {"aim_four", "full_divided", "prompt_tuning", "st_adapter_both", "zeroi2v"}
RECIPE = compose.load("quick/digits_motion/vit_digits/linear_probe", [f"clip.frames={FRAMES}"])
ALONE = 'import sys\nsys.modules["benchmark"] = sys.modules["datamodules"] = None\n'


def tiny(name: str) -> TrainedModel:
    """Return a tiny model of the recipe `name`, none of whose parameters is as it starts."""
    names = tuple(f"class {i}" for i in range(CLASSES))
    return TrainedModel(wake(construct("class token", name), seed=0).eval(), RECIPE, names)


def of_one_block(folder: Path) -> list[str]:
    """Write the digits' ViT as far as its first block; return the overrides that take it."""
    whole = load_file(compose.RECIPES / "backbones" / "vit_digits.safetensors")
    later = re.compile(r"blocks\.[1-9]")
    save_file({k: v for k, v in whole.items() if not later.match(k)}, folder / "one.safetensors")
    return ["backbone.options.depth=1", f"backbone.weights={folder / 'one.safetensors'}"]


def modules(model: nn.Module) -> object:
    """Return all that a program follows from but the values of tensors."""
    tensors = {"_parameters", "_buffers", "_modules"}
    own = [
        (name, type(each), {k: repr(v) for k, v in vars(each).items() if k not in tensors})
        for name, each in model.named_modules()
    ]
    return own, [(name, each.shape, each.dtype) for name, each in model.state_dict().items()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [each for each in METHODS if is_first_of_its_method(each) or each in AS_ONNX]
)
def test_every_method_is_exported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_models, "DEPTH", tiny_models.least_depth(name))
    trained, plain = tiny(name), tiny("linear_probe")
    merged = trained.model.merged_or_self()
    if name != "linear_probe" and modules(merged) == modules(plain.model):  # exported as that is
        clips = exporting._clips(trained).permute(0, 4, 1, 2, 3)
        mean, std = exporting._moments(trained)
        differs = Normalised(merged, mean, std)(clips) - trained.pixels()(clips)
        assert differs.abs().max() < 1e-5 * trained.pixels()(clips).abs().max()
        return
    programs: list[torch.export.ExportedProgram] = []
    trace = torch.export.export

    def once(*model: object, **how: object) -> torch.export.ExportedProgram:
        programs[:] = programs or [trace(*model, **how)]  # type: ignore[arg-type]
        return programs[0]

    monkeypatch.setattr(torch.export, "export", once)  # both files are of one program
    for suffix in [".pt2", ".onnx"] if HAS_ONNX and name in AS_ONNX else [".pt2"]:
        file = tmp_path / f"model{suffix}"
        assert export(trained, file)["difference"] < 1e-5
        assert [each.name for each in tmp_path.iterdir() if each.suffix == suffix] == [file.name]


@pytest.mark.slow
def test_a_file_that_differs_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, file = tiny("linear_probe"), tmp_path / "model.pt2"
    write = exporting._written

    def wrong(*arguments: object, **more: object) -> object:
        run = write(*arguments, **more)  # type: ignore[arg-type]

        def altered(pixels: Tensor) -> Tensor:
            return run(pixels) * 1.001

        return altered

    monkeypatch.setattr(exporting, "_written", wrong)
    with pytest.raises(UserError, match=r"is not written: its logits differ .* by 1\.0e-03"):
        export(trained, file)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix",
    [
        ".pt2",
        pytest.param(
            ".onnx",
            marks=pytest.mark.skipif(not HAS_ONNX, reason="the extra onnx is not installed"),
        ),
    ],
)
def test_the_readmes_lines_run_it_without_this_suite(suffix: str, tmp_path: Path) -> None:
    # what writes ONNX takes the square of how many blocks there are
    few = of_one_block(tmp_path) if suffix == ".onnx" else []
    checkpoint = a_checkpoint(tmp_path, "zeroi2v", "clip.sampling=uniform", *few)
    a_video(tmp_path / "video.mp4")
    assert main(["export", str(checkpoint), "-o", str(tmp_path / f"model{suffix}")]) == 0
    page = (ROOT / "benchmark" / "inference" / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (whole,) = (each for each in blocks if "torch.export.load" in each)
    if suffix == ".onnx":
        (loading,) = (each for each in blocks if "onnxruntime" in each)
        a, b = whole.index('about = {"meta'), whole.index("with av.open")
        whole = whole[:a] + loading + whole[b:]
        asked = "model(torch.from_numpy(pixels)[None])"
        assert asked in whole
        whole = whole.replace(asked, "torch.from_numpy(run(pixels[None]))")
    ended = subprocess.run(
        [sys.executable, "-c", ALONE + whole], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    lines = [re.fullmatch(r" *([\d.]+) %  (.*)", each) for each in ended.stdout.splitlines()]
    told = {line[2]: float(line[1]) for line in lines if line}
    trained = benchmark.load_checkpoint(checkpoint, ["trainer.accelerator=cpu"])
    (wanted,) = predict(trained, [str(tmp_path / "video.mp4")])
    best = {trained.classes[number]: 100 * p for number, p in wanted.best()}
    assert list(told) == list(best) and told == pytest.approx(best, abs=0.3)  # Pillow's resize
    assert (tmp_path / "model.md").read_text().startswith("# Model card: zeroi2v on digits_motion")


def test_the_metadata_say_how_a_clip_is_made() -> None:
    about = exporting.metadata(tiny("full"))
    assert json.loads(json.dumps(about)) == about and len(about["classes"]) == CLASSES
    clip = about["clip"]
    assert (clip["frames"], clip["size"], clip["short_side"]) == (FRAMES, 32, 32)


def test_without_onnx_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_file, "NEEDED", ("no_such_package",))
    with pytest.raises(UserError, match=r"ONNX needs no_such_package: pip install -e '\.\[onnx\]'"):
        exporting.demand_exportable(tmp_path / "x.onnx")
    exporting.demand_exportable(tmp_path / "x.pt2")


@pytest.mark.slow
def test_a_model_of_more_than_a_file_holds_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(onnx_file, "LARGEST", 10)
    program = torch.export.export(torch.nn.Linear(3, 3), (torch.zeros(1, 3),))
    with pytest.raises(UserError, match=r"more than an ONNX file holds: name a \.pt2"):
        onnx_file.write(program, tmp_path / "x.onnx", {})
