"""The contract every method keeps, on every kind of backbone; what fails says what to add where."""

import copy
import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import tiny
import torch
import yaml
from awake import wake
from forked import Process
from places import FIXTURES
from tiny import (
    BACKBONES,
    FRAMES,
    HERE,
    METHODS,
    ONCE,
    REFUSED,
    SIZE,
    Build,
    construct,
    demand,
    gradients,
)
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from benchmark.cost import counts
from benchmark.lookup import find, names, own_file
from benchmark.lookup.method_facts import method_facts
from benchmark.models import backbone as backbones
from benchmark.models import checkpoint
from benchmark.models.video_vit import VideoViT
from benchmark.recipes import compose
from benchmark.training.optim import adamw
from datamodules.files import display_path

REFERENCE = FIXTURES / "reference"

# ST-Adapter before the last MLP: the class token no longer sees the patches it changes. The
# authors' code has it, and their parameters count it; where patches are averaged it is reached.
UNREACHED = {
    "st_adapter_mlp": "vit.blocks.1.adapt.mlp",
    "st_adapter_both": "vit.blocks.1.adapt.mlp",
}


def step(model: VideoViT, video: Tensor, steps: int = 3) -> None:
    optimizer = adamw(model, lr=1e-2, head_lr=None, weight_decay=0.0, betas=(0.9, 0.999))
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(video), torch.tensor([0, 1, 2])).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def awake(name: str, backbone: str) -> VideoViT:
    """Return a woken model in eval mode, which tests leave as it is."""
    return wake(construct(backbone, name)).eval()


def to_change(name: str, fact: str, holds: bool) -> str:
    """Return what to do where what a method's file says and what is measured differ."""
    method = str(METHODS[name]["name"])
    file = own_file("benchmark.methods", method) or f"benchmark/methods/{method}.py"
    return f'{name} measured: {fact} is {holds}: say "{fact}": {holds} in FACTS of {file}'


def test_every_method_is_under_test() -> None:
    assert {options["name"] for options in METHODS.values()} == set(names("benchmark.methods"))


@pytest.mark.parametrize(("refused", "kind"), REFUSED)
def test_what_needs_a_class_token_says_so(refused: str, kind: str) -> None:
    with pytest.raises(ValueError, match="class token"):
        construct(kind, refused)


def test_starts_as_the_frozen_model_or_not(name: str, build: Build, video: Tensor) -> None:
    still = video[:, :, :1].expand_as(video)  # on a clip that moves, methods average differently
    same = torch.allclose(build(name).eval()(still), build("linear_probe").eval()(still), atol=1e-5)
    assert same == method_facts(METHODS[name]).starts_frozen, to_change(name, "starts_frozen", same)


def test_merges_or_not(name: str, awake: VideoViT, video: Tensor) -> None:
    mergeable = awake.mergeable
    assert mergeable == method_facts(METHODS[name]).merges, to_change(name, "merges", mergeable)
    if mergeable:
        merged = awake.merge()
        assert_close(merged(video), awake(video), rtol=1e-4, atol=1e-4)
        assert not merged.mergeable


def test_gradients_pass_the_blocks_or_not(name: str, build: Build, video: Tensor) -> None:
    """Where they do not, nothing of the blocks is saved for them."""
    model, passed = wake(build(name)).train(), []
    for block in model.vit.blocks:
        block.register_forward_hook(lambda _, __, out: passed.append(out.requires_grad))
    model(video)
    claimed = method_facts(METHODS[name]).backpropagates
    assert any(passed) == claimed, to_change(name, "backpropagates", any(passed))


def test_trains_what_it_claims_and_nothing_else(
    name: str, backbone: str, build: Build, video: Tensor
) -> None:
    model = build(name)
    unreached = UNREACHED.get(name, "-") if "class_token" not in BACKBONES[backbone] else "-"
    before = copy.deepcopy(model.state_dict())
    trained = set(checkpoint.trained(model))
    with torch.no_grad():
        model.eval()(video)  # validate first: caches must not outlive the mode they were made in
    step(model.train(), video)
    for key, now in model.state_dict().items():
        moved = not torch.equal(now, before[key])
        reached = not key.startswith(unreached)
        hint = "" if moved else ", name it in UNREACHED if the paper has it so"
        assert moved == (key in trained and reached), f"{key} {moved=}{hint}"


def test_clips_do_not_mix(awake: VideoViT, video: Tensor) -> None:
    assert_close(awake(video)[1:], awake(video[1:]))


def test_sees_time_or_not(name: str, awake: VideoViT, video: Tensor) -> None:
    sees = not torch.allclose(awake(video), awake(video.flip(2)), atol=1e-5)
    assert sees == method_facts(METHODS[name]).sees_time, to_change(name, "sees_time", sees)


def test_eval_is_deterministic(awake: VideoViT, video: Tensor) -> None:
    assert torch.equal(awake(video), awake(video))


def test_frozen_modules_stay_in_eval_mode(name: str, build: Build) -> None:
    model = build(name).eval().train()
    for path, module in model.named_modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            assert not module.training, path
    assert model.head.training


def test_checkpoint_round_trip(name: str, awake: VideoViT, build: Build, video: Tensor) -> None:
    again = build(name)
    checkpoint.load_trained(again, checkpoint.trained(awake))
    assert torch.equal(again.eval()(video), awake(video))


def test_checkpoint_of_another_method_is_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="disagree"):
        checkpoint.load_trained(build("aim"), checkpoint.trained(build("zeroi2v")))


def test_checkpoint_of_another_shape_is_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="shape"):
        checkpoint.load_trained(
            build("st_adapter"), checkpoint.trained(build("st_adapter", width=6))
        )


TIMM = {
    "B16": "vit_base_patch16_clip_quickgelu_224",
    "L14": "vit_large_patch14_clip_quickgelu_224",
}


CLASSES = (400, 174)


@functools.cache
def reference_parameters() -> dict[str, dict[str, str]]:
    return yaml.safe_load((REFERENCE / "parameters.yaml").read_text())


def parameters(name: str, size: str, classes: int) -> str:
    """Return how many parameters a recipe trains at full size and 8 frames, and has in all."""
    demand(name)
    options = dict(compose.read(f"methods/{name}")["method"])
    with torch.device("meta"):
        vit = backbones.build(TIMM[size], size=224)
        model = VideoViT(vit, frames=8, num_classes=classes)
        find("benchmark.methods", options.pop("name"))(model, **options)
    return f"{counts.parameters(model, trained=True)} {counts.parameters(model)}"


@pytest.mark.parametrize("size", ["B16", pytest.param("L14", marks=pytest.mark.slow)])
@pytest.mark.parametrize("classes", [CLASSES[0], pytest.param(CLASSES[1], marks=pytest.mark.slow)])
def test_parameter_count(name: str, size: str, classes: int) -> None:
    """Every recipe trains, at full size and 8 frames, what `reference/parameters.yaml` says."""
    if not compose.is_ours(f"methods/{name}"):
        pytest.skip("its recipe says how many, in a folder of your own")
    known = reference_parameters().get(name)
    if known is None:
        sizes = itertools.product(TIMM, CLASSES)
        lines = [f"  {s}/{c}: {parameters(name, s, c)}" for s, c in sizes]
        where = "tests/fixtures/reference/parameters.yaml, if the paper agrees"
        pytest.fail("\n".join([f"add to {where}:", f"{name}:", *lines]), pytrace=False)
    assert parameters(name, size, classes) == known[f"{size}/{classes}"]


def test_a_recipe_says_what_it_is_and_how_many_parameters_it_trains(name: str) -> None:
    file = compose.path(f"methods/{name}")
    comment = file.read_text().split("method:")[0]
    lines = comment.splitlines()
    begins = lines and all(line.startswith("#") for line in lines) and "parameters" in comment
    if begins and compose.is_ours(f"methods/{name}"):  # what ours train is looked up above
        assert "ViT-B/16" in comment
        return
    trained = int(parameters(name, "B16", 400).split()[0])
    if not begins or f"{trained:,}" not in comment:
        pytest.fail(
            f"begin {display_path(file)} with a comment such as:\n"
            "# Its name (authors, year), URL: what it trains.\n"
            f"# ViT-B/16, 400 classes: {trained:,} parameters.",
            pytrace=False,
        )
    assert "ViT-B/16" in comment


MISTAKES: list[tuple[str, dict[str, object], str]] = [
    ("st_adapter", {"sites": ("attention",)}, "sites has"),
    ("st_adapter", {"kernel": (2, 1, 1)}, "kernel is"),
    ("st_adapter", {"layers": 3}, "layers is 3"),
    ("partial", {"blocks": 3}, "blocks is 3"),
    ("full", {"temporal": "both"}, "temporal is"),
    ("full", {"train": "space"}, "train is"),
    ("full_joint", {"train": "temporal"}, "no attention"),
    ("m2_clip", {"sites": ("attention",)}, "sites has"),
    ("d2st_adapter", {"heads": 3}, "heads is"),
    ("d2st_adapter", {"space_kernel": (4, 5, 5)}, "space_kernel is"),
    ("d2st_adapter", {"time_stride": (1, 0, 2)}, "time_stride is"),
    ("apt", {"tokens": 0}, "tokens is"),
    ("aim", {"adapters": ("time",)}, "adapters has"),
    ("aim", {"adapters": ("temporal_in",)}, "without temporal"),
    ("zeroi2v", {"adapters": ("q",)}, "adapters has"),
    ("zeroi2v", {"shifts": {-1: 9}}, "shifts asks"),
    ("side4video", {"width": 96}, "width is 96"),
]


@pytest.mark.parametrize(("name", "options", "message"), MISTAKES)
def test_a_wrong_option_is_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        construct("class token", name, **options)


def test_deep_prompts_add_exactly_their_tokens(build: Build, video: Tensor) -> None:
    seen: list[int] = []
    model = build("prompt_tuning")
    hook: Callable[..., None] = lambda module, inputs, output: seen.append(inputs[0].shape[1])  # noqa: E731
    for block in model.vit.blocks:
        block[1].register_forward_hook(hook)  # type: ignore[index, union-attr, operator]
    features = model.vit.forward_features(video[:, :, 0])
    plain = build("linear_probe").vit.forward_features(video[:, :, 0])
    assert features.shape == plain.shape
    assert seen == [plain.shape[1] + 3] * 2


@pytest.mark.slow
def test_works_in_bfloat16(awake: VideoViT, video: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits = awake(video)
    assert_close(logits.float(), awake(video), rtol=0.1, atol=0.1)
    awake.zero_grad()
    F.cross_entropy(logits.float(), torch.tensor([0, 1, 2])).backward()
    grads = [p.grad for p in awake.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing(awake: VideoViT, video: Tensor) -> None:
    plain, logits = gradients(awake, video), awake(video)  # in eval mode nothing is drawn
    awake.vit.set_grad_checkpointing(True)
    try:
        assert_close(awake(video), logits)
        assert_close(gradients(awake, video), plain)
    finally:
        awake.vit.set_grad_checkpointing(False)


def test_noise_is_off_in_eval_and_on_in_training(build: Build, video: Tensor) -> None:
    for name, noise in (("aim", {"drop_path": 0.9}), ("zeroi2v", {"dropout": 0.9})):
        model = wake(build(name, **noise))
        assert torch.equal(model.eval()(video), model(video))
        assert not torch.equal(model.train()(video), model(video))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), ONCE)
def test_compiles_to_one_graph(
    build: Build, name: str, backbone: str, video: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one block: the next would be traced as it is. Its gradients are traced once per method."""
    monkeypatch.setattr(tiny, "DEPTH", tiny.least_depth(name))
    model = wake(build(name)).eval()
    torch._dynamo.reset()
    once = tiny.is_first_of_its_method(name) and backbone == tiny.FIRST
    backend = "aot_eager_default_partitioner" if once else "eager"
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    assert_close(logits := compiled(video), model(video))
    logits.sum().backward()


@pytest.mark.slow
def test_two_ranks_train_as_one_without_looking_for_unused_parameters(tmp_path: Path) -> None:
    ranks = [
        Process("train_as_one", str(rank), str(tmp_path / "store"), env=os.environ)
        for rank in range(2)
    ]
    for each in ranks:
        _, stderr = each.communicate(timeout=500)
        assert each.returncode == 0, stderr


@pytest.mark.slow
@pytest.mark.parametrize("recipe_name", compose.names("backbones"))
def test_every_backbone_recipe_takes_every_method(recipe_name: str) -> None:
    """As wide as they are, of a block or two, on the meta device: positions, registers, pooling."""
    b = compose.load(f"quick/digits_motion/{recipe_name}/linear_probe").backbone
    size = 32 if "digits" in recipe_name else 224
    for name in HERE:
        with torch.device("meta"):
            few = {**b.options, "depth": tiny.least_depth(name)}
            vit = backbones.build(b.name, size=size, options=few)
            model = VideoViT(vit, frames=2, num_classes=7)
            options = dict(METHODS[name])
            change = find("benchmark.methods", str(options.pop("name")))
            if method_facts(METHODS[name]).needs_class_token and not vit.has_class_token:
                with pytest.raises(ValueError, match="class token"):
                    change(model, **options)
                continue
            change(model, **options)
        with torch.no_grad():
            clip = torch.empty(1, 3, 2, size, size, device="meta")
            assert model(clip).shape == (1, 7), name


@pytest.mark.parametrize("recipe_name", compose.names("backbones"))
def test_every_backbone_recipe_brings_its_own_normalisation(recipe_name: str) -> None:
    b = compose.load(f"quick/digits_motion/{recipe_name}/linear_probe").backbone
    if b.weights == "timm":
        known = timm.get_pretrained_cfg(b.name)
        assert (tuple(b.mean), tuple(b.std)) == (known.mean, known.std)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own imports
def test_compiles_with_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "DEPTH", 1)
    model = wake(construct("class token", "zeroi2v")).eval()
    video = torch.randn(2, 3, FRAMES, SIZE, SIZE)
    torch._dynamo.reset()
    assert_close(torch.compile(model, fullgraph=True)(video), model(video), rtol=1e-4, atol=1e-4)
