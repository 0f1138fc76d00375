"""What makes no sense is refused in one line, with what would, before anything starts."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from lightning.fabric.connector import _PRECISION_INPUT_STR
from lightning.pytorch.strategies import StrategyRegistry
from places import set_places

from benchmark import one_run
from benchmark.cli.data import split_words
from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.recipes import buildable, compose, proportion
from benchmark.recipes.compose import load
from benchmark.recipes.schema import METADATA, PRECISIONS, STRATEGIES
from benchmark.recipes.validation import range_of
from benchmark.sweeps import sweep
from benchmark.sweeps.jobs import Failure
from benchmark.sweeps.launchers import local
from benchmark.sweeps.plan import plan
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.preparation.prepare import RANGES

RUN = "quick/digits_motion/vit_digits"


@pytest.fixture(autouse=True)
def nothing_starts(tmp_path, monkeypatch):
    """Let no data be written and no run begin."""
    set_places(monkeypatch, tmp_path)
    for module, name in ((local, "run"), (sweep, "prepare"), (one_run, "train")):
        monkeypatch.setattr(module, name, lambda *given, **more: pytest.fail("something started"))


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    """Return a copy of recipes/ that is read instead."""
    copy = shutil.copytree(compose.RECIPES, tmp_path / "recipes")
    monkeypatch.setattr(compose, "RECIPES", copy)
    return copy


SENSELESS = [  # told when a recipe is loaded: method and overrides, and what is said
    ("optim.head_lr=-5", "optim.head_lr is -5.0, not above 0"),
    ("optim.lr=0", "optim.lr is 0.0, not above 0"),
    ("train.label_smoothing=1", "train.label_smoothing is 1.0, not at least 0 and below 1"),
    ("train.head_dropout=1", "train.head_dropout is 1.0, not at least 0 and below 1"),
    ("train.augment.scale=[5,9]", "is [5.0, 9.0], not two numbers, each above 0 and at most 1"),
    ("train.augment.scale=[0.9,0.1]", "the first not above the second"),
    ("train.augment.ratio=[0,1]", "each above 0"),
    ("train.augment.short_side=[0,9]", "each at least 1"),
    ("train.augment.lighting=inf", "train.augment.lighting is inf, not a finite number"),
    ("train.augment.randaugment.operations=15", "not at most 14, which pytorchvideo has"),
    ("optim.weight_decay=.nan", "optim.weight_decay is nan, not a finite number"),
    ("method.scale=.inf", "method.scale is inf, not a finite number"),
    ("backbone.std=[-1,-1,-1]", "not three numbers, each above 0 and at most 1"),
    ("backbone.std=[0,0,0]", "not three numbers, each above 0 and at most 1"),
    ("backbone.mean=[127,127,127]", "not three numbers, each between 0 and 1"),
    ("optim.warmup=5", "optim.warmup is 5.0, not at most 2, which is train.epochs"),
    ("optim.layer_decay=1.1", "optim.layer_decay is 1.1, not above 0 and at most 1"),
    ("optim.drops=[1.5,1]", "optim.drops is [1.5, 1.0], not rising, above 0 and below 2"),
    ("optim.drops=[2]", "not rising, above 0 and below 2, which is train.epochs"),
    ("optim.algorithm=adam", "optim.algorithm is 'adam', not 'adamw' or 'sgd'"),
    ("train.head_std=-1", "train.head_std is -1.0, not at least 0"),
    ("optim.betas=[0.9,1]", "not two numbers, each at least 0 and below 1"),
    ("clip.seconds=0", "clip.seconds is 0.0, not above 0"),
    ("test.short_side=20", "test.short_side is 20, not at least 32, which is clip.size"),
    ("trainer.precision=bf16-mixd", "trainer.precision is 'bf16-mixd'; did you mean 'bf16-mixed'?"),
    ("trainer.precision=16-true", "there are: 16-mixed, 32-true, bf16-mixed"),
    ("trainer.strategy=dpp", "trainer.strategy is 'dpp'; did you mean 'ddp'?"),
    ("trainer.accelerator=gpuu", "trainer.accelerator is 'gpuu'; did you mean 'gpu'?"),
    ("trainer.devices=0", "trainer.devices is 0, not at least 1, or -1: all there are"),
    ("trainer.devices=-2", "trainer.devices is -2, not at least -1"),
    ("seed=4294967296", "seed is 4294967296, not between 0 and 4294967295"),
    ("workers=5000", "workers is 5000, not between 0 and 1024"),
    ("train.batch=99999999999999999999", "not at most 2147483647"),
    ("data.train=99999999999999999999", "not between -2147483647 and 2147483647"),
    ("backbone.options.depth=99999999999999999999", "not between -2147483647 and 2147483647"),
]
IMPOSSIBLE = [  # told once the model is built, without weights
    ("aim", "clip.size=33", "clip.size is 33, not of whole patches of 8 pixels, such as 32 or 40"),
    ("aim", "clip.size=3", "clip.size is 3, not of whole patches of 8 pixels, such as 8"),
    ("st_adapter", "method.width=0", "st_adapter: width is 0, not at least 1"),
    ("st_adapter", "method.width=-3", "st_adapter: width is -3, not at least 1"),
    ("st_adapter", "method.kernel=[-1,1,1]", "it takes three odd sizes"),
    ("st_adapter", "method.layers=9", "layers is 9; this ViT has 4 blocks"),
    ("aim", "method.ratio=0.001", "aim: ratio is 0.001, not at least 1/96"),
    ("aim", "method.drop_path=1", "aim: drop_path is 1, not at least 0 and below 1"),
    ("aim", "method.time_std=-1", "aim: time_std is -1, not at least 0"),
    ("zeroi2v", "method.ratio=0", "zeroi2v: ratio is 0, not at least 1/96"),
    ("zeroi2v", "method.dropout=2", "zeroi2v: dropout is 2, not at least 0 and below 1"),
    ("prompt_tuning", "method.tokens=0", "prompt_tuning: tokens is 0, not at least 1"),
    ("prompt_tuning", "method.dropout=1", "dropout is 1, not at least 0 and below 1"),
    ("aim", "optim.no_decay=[biass]", "'biass' is in no parameter's name; did you mean 'bias'?"),
    ("aim", "backbone.weights=base.yaml", "there is no file"),
    ("aim", "backbone.options.depth=3", "does not fit this backbone"),
    ("aim", "backbone.options.num_heads=5", "backbone.options: timm makes no vit_tiny_patch16_224"),
    ("aim", "backbone.options.dephth=3", "unexpected keyword argument 'dephth'"),
    ("aim", "backbone.name=vit_tinny", "has no model 'vit_tinny'"),
    ("aim", "clip.sampling=pytorchvideo_random", "clip.seconds is not set"),
    ("aim", "test.clips=2 clip.sampling=aim_uniform", "this paper's uniform sampling has 1"),
    ("aim", "train.batch=13 trainer.devices=2", "the nearest that can: 12 or 14"),
]
HUGE = [  # told with its figure, and asked for
    (
        "aim",
        "clip.frames=1000000",
        "train.batch=4 with clip.frames=1000000 and clip.size=32 takes",
    ),
    ("aim", "train.batch=2000000000", "122,880.0 GB of memory"),
    ("aim", "test.clips=1000", "test.clips=1000 x test.crops=1 are 1,000 views of a video"),
    ("aim", "data.train=1000000", "writing the videos of digits_motion takes about 1.4 hours"),
    ("aim", "workers=1024", "are 1,025 processes on 2 cores"),
    ("st_adapter", "method.width=100000000", "78,800,468,386 parameters"),
]


def refused(capsys, *argv):
    """Return what the command line says to what it refuses: one line."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("error: ")
    return err


@pytest.fixture(autouse=True)
def a_machine(monkeypatch):
    monkeypatch.setattr(proportion, "free_memory", lambda: 16e9)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.mark.parametrize(("override", "said"), SENSELESS, ids=[each for each, _ in SENSELESS])
def test_a_senseless_value_is_refused_when_a_recipe_is_loaded(override, said, capsys):
    assert said in (err := refused(capsys, "run", f"{RUN}/aim", override))
    assert "command line: " in err
    with pytest.raises(UserError, match=re.escape(said)):
        load(f"{RUN}/aim", [override])


@pytest.mark.parametrize(("method", "overrides", "said"), IMPOSSIBLE, ids=str)
def test_what_cannot_be_built_is_refused_before_a_run_starts(method, overrides, said, capsys):
    assert said in refused(capsys, "run", f"{RUN}/{method}", *overrides.split())


@pytest.mark.slow
@pytest.mark.parametrize(("method", "overrides", "said"), HUGE, ids=str)
def test_what_is_out_of_all_proportion_is_told_with_its_figure(method, overrides, said, capsys):
    name, chosen = f"{RUN}/{method}", overrides.split()
    assert said in (err := refused(capsys, "run", name, *chosen)) and "--huge" in err
    proportion.ask(load(name, [*chosen, "huge=true"]), ["it is large"])  # asks no more
    assert load(name, [*chosen, "huge=true"]).name == load(name, chosen).name


def test_the_flag_is_an_override_of_the_run_and_of_its_process(monkeypatch):
    begun = []
    monkeypatch.setattr(sweep, "prepare", lambda jobs: None)
    monkeypatch.setattr(local, "run", lambda jobs: begun.extend(jobs) or [Failure(jobs[0], "")])
    assert main(["run", f"{RUN}/aim", "test.clips=1000", "--huge"]) == 1
    assert begun[0].overrides == ("test.clips=1000", "huge=true") and begun[0].recipe.huge


@pytest.mark.parametrize(
    "argv",
    [
        (f"{RUN}/aim", "clip.size=33"),
        (f"{RUN}/aim", "optim.lr=0"),
        (f"{RUN}/aim", "test.clips=1000"),
        (f"{RUN}/aim", "optim.no_decay=[biass]"),
        (f"{RUN}/aimm",),
    ],
    ids=" ".join,
)
def test_the_process_of_a_run_refuses_the_same(argv, capsys):
    assert one_run.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("error: ")


def test_a_machine_without_a_gpu_says_so_before_a_run_starts(capsys, monkeypatch):
    monkeypatch.setattr(sweep, "gpus", lambda: [])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "this machine has 0" in refused(capsys, "run", f"{RUN}/aim", "trainer.accelerator=gpu")
    assert one_run.main([f"{RUN}/aim", "trainer.accelerator=cuda"]) == 2
    assert "this machine has 0; 'cpu' and 'auto' take what there is" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["nothing.safetensors", "nothing.pt"])
def test_weights_that_are_none_are_told_by_their_header(tmp_path, file, capsys):
    (tmp_path / file).write_bytes(b"these are no weights")
    chosen = f"backbone.weights={tmp_path / file}"
    assert f"{file}: is broken" in refused(capsys, "run", f"{RUN}/aim", chosen)


@pytest.mark.slow
def test_weights_of_torch_fit_by_their_header_as_when_they_are_read(tmp_path):
    from safetensors.torch import load_file

    state = load_file(compose.RECIPES / "backbones/vit_digits.safetensors")
    torch.save(state, tmp_path / "whole.pt")
    buildable.demand_buildable(load(f"{RUN}/aim", [f"backbone.weights={tmp_path / 'whole.pt'}"]))
    torch.save({**state, "cls_token": torch.zeros(1, 1, 5)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="of another shape"):
        buildable.demand_buildable(
            load(f"{RUN}/aim", [f"backbone.weights={tmp_path / 'other.pt'}"])
        )


@pytest.mark.parametrize("axis", ["method: []", "seed: []", "grid: {optim.lr: []}"])
def test_a_sweep_with_an_empty_axis_is_refused(kitchen, axis):
    file = kitchen / "sweeps/quick.yaml"
    key = axis.partition(":")[0]
    kept = [line for line in file.read_text().splitlines() if not line.startswith(f"{key}:")]
    file.write_text("\n".join([*kept, axis]))
    with pytest.raises(UserError, match=r"sweeps/quick.yaml: [\w.]+ is an empty list: there would"):
        plan("quick")


@pytest.mark.parametrize("extra", ["seed: 7", "optim: {lr: 1}", "trainer: {precision: 16-mixed}"])
def test_a_methods_file_sets_nothing_but_its_method(kitchen, extra):
    file = kitchen / "methods/aim.yaml"
    file.write_text(f"{file.read_text()}\n{extra}\n")
    key = extra.partition(":")[0]
    with pytest.raises(UserError, match=f"^recipes/methods/aim.yaml: sets '{key}', and a method's"):
        load(f"{RUN}/aim")


@pytest.mark.slow
def test_a_sweep_says_which_of_its_runs_cannot_be_built(kitchen, capsys):
    file = kitchen / "protocols/quick/aim.yaml"
    file.write_text(f"{file.read_text()}\n  no_decay: [biass]\n")
    assert f"{RUN}/aim/seed0: optim.no_decay: 'biass'" in refused(capsys, "sweep", "quick")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("quality=99", "quality is '99', not a number between 1 and 51"),
        ("quality=0", "quality is '0', not a number between 1 and 51"),
        ("short_side=4", "between 16 and 8192"),
        ("workers=9999999", "between 1 and 1024"),
    ],
)
def test_what_prepare_takes_has_a_range(word, said):
    known = {"workers": 1, "short_side": 256, "group": 16, "quality": 20}
    with pytest.raises(UserError, match=said):
        split_words(["folder", word], known, RANGES)


def listed(count):
    paths = [f"{i}.mp4" for i in range(count)]
    split = Split.of(paths, [0] * count, "/nowhere")
    return DatasetInfo("mine", ("a",), {"train": split, "test": split}, flip="ok")


def test_frames_are_measured_by_the_longest_video(monkeypatch):
    lengths = iter([3, None, 5] * 99)
    monkeypatch.setattr(
        "datamodules.decoding.stated_length.stated_length", lambda *given: next(lengths)
    )
    recipe = replace(load(f"{RUN}/aim", ["clip.frames=11"]), cache=False)
    said = "of 4 videos of mine the longest has 5 frames"
    assert proportion.of_data(recipe, listed(3)) == [f"clip.frames=11, and {said}"]
    assert not proportion.of_data(load(f"{RUN}/aim", ["clip.frames=10", "cache=false"]), listed(3))


def test_clips_of_a_training_are_counted():
    recipe = load(f"{RUN}/aim", ["train.epochs=100000000", "cache=false"])
    assert "are 200,000,000 clips" in proportion.of_data(recipe, listed(2))[0]


def test_the_words_that_there_are_are_lightnings():
    assert set(STRATEGIES) - {"auto"} <= set(StrategyRegistry.available_strategies())
    assert set(PRECISIONS) <= set(get_args(_PRECISION_INPUT_STR))


@pytest.mark.slow
def test_the_committed_recipes_are_in_proportion():
    under = compose.RECIPES / "protocols"
    papers = [f"{f.relative_to(under).with_suffix('')}" for f in under.glob("paper*/*/*/*.yaml")]
    for name in [*papers, f"{RUN}/full", "fair/digits_identity/vit_digits/full"]:
        assert not proportion.of_recipe(load(name), here=False)


def test_the_readme_of_recipes_has_the_range_of_every_key():
    text = (Path(compose.RECIPES) / "README.md").read_text()
    rows = re.findall(r"^\| (`[\w.`, ]+`) \| (.+) \|$", text, re.MULTILINE)
    told = {key: words for keys, words in rows for key in re.findall(r"`([\w.]+)`", keys)}
    ranges = {key: range_of(said) for key, said in METADATA.items() if range_of(said)}
    assert ranges.items() <= told.items()
