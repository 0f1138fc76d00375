"""The face: what `import benchmark` and `import datamodules` offer, and that they start at once."""

import ast
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from torch import Tensor

import benchmark
import datamodules
from benchmark.errors import UserError
from benchmark.models import backbone, checkpoint
from benchmark.recipes import build
from datamodules.files import ROOT

FACES = [benchmark, datamodules]
RUN = "quick/digits_motion/vit_digits/st_adapter"
BARE = """
import sys
import benchmark
import datamodules
assert "torch" not in sys.modules and "omegaconf" not in sys.modules
for absent in ("omegaconf", "av", "lightning", "pytorchvideo", "wandb"):
    sys.modules[absent] = None
import timm
import torch
vit = timm.create_model("test_vit", img_size=32)
model = benchmark.adapt(vit, "st_adapter", frames=8, classes=174, width=16)
assert model(torch.zeros(2, 3, 8, 32, 32)).shape == (2, 174)
"""


@pytest.mark.slow
def test_a_bare_machine_starts_at_once_and_adapts_a_vit() -> None:
    ended = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_every_name_is_there_and_shown(face: ModuleType) -> None:
    assert set(face.__all__) <= set(dir(face))
    for name in face.__all__:
        assert getattr(face, name) is getattr(face, name) and callable(getattr(face, name))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = face.nonsense
    with pytest.raises(ImportError):
        exec(f"from {face.__name__} import nonsense")


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_editors_and_mypy_see_the_names_that_are_imported_when_asked_for(face: ModuleType) -> None:
    tree = ast.parse(Path(str(face.__file__)).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in guarded.body:
        assert isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names:
            seen[alias.asname or alias.name] = getattr(import_module(node.module), alias.name)
    assert sorted(seen) == sorted(face.__all__) == sorted(face.FACE)
    assert all(getattr(face, name) is what for name, what in seen.items())
    assert files(face).joinpath("py.typed").is_file()


def tiny(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", img_size=32, **options)


def test_a_vit_of_timm_is_adapted_in_one_line() -> None:
    vit = tiny(num_classes=1000)
    model = benchmark.adapt(vit, "st_adapter", frames=8, classes=174, width=16)
    assert isinstance(model, benchmark.VideoViT) and model.vit is vit
    assert model(torch.randn(2, 3, 8, 32, 32)).shape == (2, 174)
    assert not any("head" in name for name, _ in vit.named_parameters())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {
        *("head.weight", "head.bias"),
        *(name for name, _ in model.named_parameters() if ".adapt." in name),
    }
    assert model.vit.blocks[0].adapt["attn"].down.weight.shape == (16, vit.embed_dim)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("st_adaptr", {}, "no 'st_adaptr' in benchmark.methods; did you mean 'st_adapter'"),
        ("st_adapter", {"widht": 16}, "st_adapter has no option 'widht'; did you mean 'width'"),
        ("st_adapter", {"sites": ["attention"]}, "st_adapter: sites has ['attention']"),
        ("aim", {"adapters": ["temporal_in"]}, "aim: adapters has temporal_in without temporal"),
    ],
)
def test_a_mistake_is_told_in_one_line(method: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as told:
        benchmark.adapt(tiny(), method, frames=4, classes=5, **options)
    assert str(told.value).startswith(said) and "\n" not in str(told.value)


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(UserError, match="a ResNet is no timm VisionTransformer"):
        benchmark.adapt(timm.create_model("test_resnet"), "aim", frames=4, classes=5)


def test_adapting_is_what_a_recipe_does() -> None:
    recipe = benchmark.load_recipe(RUN, ["seed=3"])
    wanted, _ = build.model(recipe, 8)
    b = recipe.backbone
    vit = backbone.load(
        b.name, size=recipe.clip.size, weights=build.weights_of(b), options=b.options
    )
    torch.manual_seed(3)
    options = {key: value for key, value in recipe.method.items() if key != "name"}
    model = benchmark.adapt(vit, "st_adapter", frames=recipe.clip.frames, classes=8, **options)
    own, theirs = model.state_dict(), wanted.state_dict()
    assert own.keys() == theirs.keys() and all(torch.equal(own[key], theirs[key]) for key in own)


def clips() -> Tensor:
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1))


def few(folder: Path) -> list[str]:
    """Return what makes few videos of the dataset; its classes' names come with them."""
    return ["data.train=16", "data.holdout=16", "data.test=16", f"data.root={folder}"]


@pytest.mark.slow
def test_a_checkpoint_is_the_model_that_was_saved(tmp_path: Path) -> None:
    recipe = benchmark.load_recipe(RUN, few(tmp_path))
    model, _ = build.model(recipe, 8)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    file = tmp_path / "model.safetensors"
    checkpoint.write(file, model, asdict(recipe))
    loaded = benchmark.load_checkpoint(file)
    own = loaded.model
    assert not own.training and torch.equal(own(clips()), model.eval()(clips()))
    with pytest.raises(UserError, match=r"no checkpoint .*none\.safetensors"):
        benchmark.load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.slow
def test_a_run_is_a_task_and_its_data(tmp_path: Path) -> None:
    task, data = benchmark.load_run(RUN, few(tmp_path))
    assert isinstance(task, benchmark.Classification)
    assert isinstance(data, datamodules.VideoDataModule) and data.num_classes == 8
    assert task.model(clips()).shape == (2, 8)


def test_the_committed_records_are_there() -> None:
    found = benchmark.load_records(ROOT / "results" / "fair" / "digits_motion")
    assert {f"fair/digits_motion/vit_digits/aim/seed{seed}" for seed in range(3)} <= {
        record.name for record in found
    }
