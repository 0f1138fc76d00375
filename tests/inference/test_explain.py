"""Explanations: maps that are what they say, of every method on every kind of backbone."""

from pathlib import Path

import numpy as np
import pytest
import tiny as tiny_models
import torch
from awake import wake
from PIL import Image
from tiny import CLASSES, SIZE, construct
from torch import Tensor

from benchmark.inference import explanation_picture
from benchmark.inference.explain import Explanation, explain
from benchmark.inference.trained_model import TrainedModel
from benchmark.recipes import compose

FRAMES = 3  # not as many as patches: nothing would tell attention within from between frames
VIEW = torch.randint(
    0, 256, (3, FRAMES, SIZE, SIZE), generator=torch.Generator().manual_seed(0)
).byte()


@pytest.fixture(autouse=True)
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_models, "FRAMES", FRAMES)


RECIPE = compose.load("quick/digits_motion/vit_digits/linear_probe", [f"clip.frames={FRAMES}"])


def tiny(backbone: str, name: str, **options: object) -> TrainedModel:
    model = wake(construct(backbone, name, **options), seed=0).eval()
    return TrainedModel(model, RECIPE, tuple(map(str, range(CLASSES))))


BETWEEN = ("aim", "full_divided", "temporal_only")  # attend over time
KERNELS = ("st_adapter", "m2_clip", "side4video")  # convolve over time


@pytest.mark.slow
def test_every_method_is_explained(name: str, backbone: str) -> None:
    if name.startswith("dist"):
        pytest.skip("its ViT sees every second frame of an even number, and a view here has three")
    trained = tiny(backbone, name)
    found = explain(trained, VIEW)
    grid = trained.model.vit.patch_embed.grid_size
    with torch.no_grad():
        p = trained(VIEW[None])[0].softmax(dim=0)
    assert found.answer == int(p.argmax()) and found.probability == pytest.approx(float(p.max()))
    assert found.evidence.shape == (FRAMES, *grid) and found.evidence.min() >= 0
    assert float(found.evidence.sum()) == pytest.approx(1) or not found.evidence.any()
    read = trained.model.reader is not None and backbone == "attention pooling"  # which is left out
    assert (found.attention is None) == (backbone == "no class token" or read or "joint" in name)
    if found.attention is not None:
        assert found.attention.shape == (FRAMES, *grid)
        assert 0 < float(found.attention.sum()) <= FRAMES + 1e-4
    assert (found.between_frames is not None) == name.startswith(BETWEEN)
    if found.between_frames is not None:
        assert found.between_frames.shape == (2, FRAMES, FRAMES)
        assert torch.allclose(found.between_frames.sum(dim=-1), torch.ones(2, FRAMES))
    assert (found.kernels is not None) == name.startswith(KERNELS)
    reads_out_a_token = backbone in ("class token", "registers")
    assert bool(found.shifted) == (name == "zeroi2v" and reads_out_a_token)


def test_what_is_blind_to_order_is_explained_frame_by_frame() -> None:
    trained, order = tiny("class token", "linear_probe"), [2, 0, 1]
    one, other = explain(trained, VIEW), explain(trained, VIEW[:, order], one_answer(trained))
    assert one.attention is not None and other.attention is not None
    assert torch.allclose(one.evidence[order], other.evidence, atol=1e-5)
    assert torch.allclose(one.attention[order], other.attention, atol=1e-5)


def one_answer(trained: TrainedModel) -> int:
    return int(trained(VIEW[None])[0].argmax())


def test_attention_is_that_of_the_last_block() -> None:
    trained = tiny("class token", "linear_probe")
    attn, kept = trained.model.vit.blocks[-1].attn, list[Tensor]()
    hook = attn.qkv.register_forward_hook(lambda module, given, made: kept.append(made.detach()))
    found = explain(trained, VIEW)
    hook.remove()
    q, k, _ = kept[0].unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
    wanted = weights[:, :, 0, 1:].mean(dim=1)
    assert found.attention is not None
    assert torch.allclose(found.attention.flatten(1), wanted, atol=1e-6)


def test_what_cannot_speak_for_an_answer_has_no_part_in_it() -> None:
    trained = tiny("class token", "linear_probe")
    with torch.no_grad():
        trained.model.head.weight[3] = 0
    found = explain(trained, VIEW, 3)
    assert found.answer == 3 and float(found.evidence.sum()) == 0


def test_a_kernel_that_looks_back_is_seen_to() -> None:
    trained = tiny("class token", "st_adapter")
    with torch.no_grad():
        for name, parameter in trained.model.named_parameters():
            if parameter.ndim == 5:
                parameter[:, :, 1:] = 0 if "blocks.0" in name else 1
                parameter[:, :, 0] = 1
    kernels = explain(trained, VIEW).kernels
    assert kernels is not None
    assert torch.allclose(kernels, torch.tensor([[1.0, 0, 0], [1 / 3] * 3]))


def test_shifted_heads_are_shown_by_the_offset_they_read() -> None:
    found = explain(tiny("class token", "zeroi2v", shifts={-1: 1, 2: 1}), VIEW)
    assert list(found.shifted) == [-1, 2]
    assert not torch.allclose(found.shifted[-1], found.shifted[2])


def drawn(file: Path, found: Explanation) -> np.ndarray:
    explanation_picture.draw(file, found, "$video_1$.mp4", "answer_$x")
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.slow
def test_a_picture_is_warm_where_the_evidence_is(tmp_path: Path) -> None:
    frames = torch.full((FRAMES, 3, 32, 32), 100, dtype=torch.uint8)
    evidence = torch.zeros(FRAMES, 4, 4)
    evidence[1, 1, 1] = 1
    found = Explanation(frames, 0, 0.5, evidence)
    pixels = drawn(tmp_path / "why.png", found)
    warm = pixels[..., 0] - pixels[..., 2] > 60  # red without blue
    columns = np.flatnonzero(warm.any(axis=0)) / pixels.shape[1]
    assert warm.sum() > 500 and 0.3 < columns.min() and columns.max() < 0.7  # the second of three
