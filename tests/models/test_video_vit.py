"""The tower saves nothing before what trains; a reader reads it, and the head reads the reader."""

import copy

import pytest
import timm
import torch
from tiny import BACKBONES, CLASSES, FRAMES, METHODS, SIZE, construct
from torch import Tensor, nn
from torch.testing import assert_close

from benchmark.cost import counts
from benchmark.lookup.method_facts import method_facts
from benchmark.models import checkpoint
from benchmark.models.video_vit import VideoViT

VIDEO = torch.randn(2, 3, FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


class Reader(nn.Module):
    """A small one: patches of the clip, and the class tokens of some blocks."""

    def __init__(self, dim: int, taps: int, width: int) -> None:
        super().__init__()
        self.of_video = nn.Conv3d(3, width, 8, stride=8, padding=(4, 0, 0))
        self.of_taps = nn.Linear(taps * dim, width)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, video: Tensor, taps: list[Tensor]) -> Tensor:
        frames = torch.cat([tap[:, 0] for tap in taps], dim=-1)
        tokens = self.of_taps(frames).unflatten(0, (len(video), -1)).mean(1)
        found: Tensor = self.norm(self.of_video(video)).mean((2, 3, 4)) + tokens
        return found


def read(backbone: str = "class token", width: int = 6, taps: tuple[int, ...] = (1, 3)) -> VideoViT:
    model = construct(backbone, "linear_probe")
    model.read_by(Reader(model.vit.embed_dim, len(taps), width), taps=taps, width=width)
    return model


@pytest.mark.parametrize(("std", "expected"), [(0.01, 0.01), (0.02, 0.02), (0, 0)])
def test_the_head_starts_as_spread_as_said(std: float, expected: float) -> None:
    vit = timm.create_model("test_vit", img_size=SIZE, num_classes=0, depth=1)
    model = VideoViT(vit, FRAMES, 400, head_std=std)
    heads = [model.head]
    model.read_by(Reader(vit.embed_dim, 1, 256), taps=(1,), width=256)
    for head in (*heads, model.head):
        assert head.weight.std().item() == pytest.approx(expected, rel=0.02)
        assert not head.bias.any()


def test_the_head_may_start_as_pytorchs() -> None:
    vit = timm.create_model("test_vit", img_size=SIZE, num_classes=0, depth=1)
    model = VideoViT(vit, FRAMES, 400, head_std=None)
    bound = vit.embed_dim**-0.5
    assert 0.99 * bound < model.head.weight.abs().max().item() <= bound
    assert model.head.bias.any()


def test_it_computes_what_timm_computes(name: str, backbone: str) -> None:
    model = construct(backbone, name).eval()
    if model.reader is not None:
        pytest.skip("what a reader makes of the tokens is not timm's")
    frames = VIDEO.transpose(1, 2).flatten(0, 1)
    tokens = model.vit.forward_head(model.vit.forward_features(frames), pre_logits=True)
    averaged = model.norm(tokens.unflatten(0, (len(VIDEO), FRAMES)).mean(1))
    assert_close(model.features(VIDEO), averaged)


@pytest.mark.parametrize("name", [n for n in METHODS if method_facts(METHODS[n]).backpropagates])
def test_nothing_is_saved_before_what_trains(name: str) -> None:
    """A block has a graph if it or what lies before it trains, and only then."""
    model = construct("class token", name).train()
    graph: list[bool] = []
    enabled: list[bool] = []
    for block in model.vit.blocks:
        block.register_forward_hook(
            lambda module, inputs, output: (
                (
                    graph.append(output.grad_fn is not None),
                    enabled.append(torch.is_grad_enabled()),
                )[2:]
                or None
            )
        )
    before = [p for n, p in model.vit.named_parameters() if not n.startswith(("blocks", "norm."))]
    seen, wanted = any(p.requires_grad for p in before), []
    for block in model.vit.blocks:
        seen = seen or any(p.requires_grad for p in block.parameters())
        wanted.append(seen)
    model(VIDEO).sum().backward()
    assert graph == enabled == wanted
    assert wanted == {"linear_probe": [False, False], "partial": [False, True]}.get(
        name, [True] * 2
    )


def test_gradients_of_the_clip_are_there_where_they_are_asked_for() -> None:
    model = construct("class token", "linear_probe").eval()
    video = VIDEO.clone().requires_grad_()
    model(video).sum().backward()
    assert video.grad is not None and video.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_reader_trains_and_the_tower_stays_out_of_it(kind: str) -> None:
    model = read(kind).train()
    with torch.no_grad():
        taps = [model.vit.blocks[0](model._embed(VIDEO.transpose(1, 2).flatten(0, 1)))]
        taps.append(model.vit.norm(model.vit.blocks[1](taps[0])))
        expected = copy.deepcopy(model).head(copy.deepcopy(model).reader(VIDEO, taps))  # type: ignore[misc]
    enabled: list[bool] = []
    for block in model.vit.blocks:
        block.register_forward_hook(lambda *_: enabled.append(torch.is_grad_enabled()))
    logits = model(VIDEO)
    assert_close(logits, expected)
    logits.square().sum().backward()
    assert enabled == [False, False]
    assert model.head.in_features == 6 and logits.shape == (2, CLASSES)
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in model.vit.parameters())


def test_taps_come_in_the_order_asked_for() -> None:
    got: list[list[Tensor]] = []
    model = construct("class token", "linear_probe").eval()

    class Keep(nn.Module):
        def forward(self, video: Tensor, taps: list[Tensor]) -> Tensor:
            got.append(taps)
            return video.mean((2, 3, 4))

    model.read_by(Keep(), taps=(3, 0, 2), width=3)
    model(VIDEO)
    model.taps = (0, 2, 3)
    model(VIDEO)
    assert_close(got[0], [got[1][2], got[1][0], got[1][1]])
    assert_close(model.vit.norm(got[1][1]), got[1][2])
    with pytest.raises(ValueError, match=r"taps has \[4, -1\]; this ViT has 0 to 3"):
        model.read_by(Keep(), taps=(4, 0, -1), width=3)


@pytest.mark.slow
def test_a_reader_is_counted_and_checkpointed() -> None:
    model, bare = read(), construct("class token", "linear_probe")
    own = {n for n in checkpoint.trained(model) if not n.startswith("reader.")}
    assert own == {"head.weight", "head.bias"}
    reader = counts.parameters(model.reader)  # type: ignore[arg-type]
    head = counts.parameters(model.head)
    assert counts.parameters(model, trained=True) == reader + head
    taps = counts.macs(model, size=SIZE) - counts.macs(bare, size=SIZE)
    dim, frames = model.vit.embed_dim, FRAMES
    patches = (SIZE // 8) ** 2 * ((FRAMES + 8 - 8) // 8 + 1)
    spent = frames * 2 * dim * 6 + patches * 6 * 3 * 8**3 + 6 * CLASSES - dim * CLASSES
    assert taps == spent
    step = counts.training_macs(model, size=SIZE) - counts.macs(model, size=SIZE)
    assert step < counts.macs(model, size=SIZE) - counts.macs(bare, size=SIZE) + 10**6
    other = read()
    checkpoint.load_trained(other, checkpoint.trained(model))
    with pytest.raises(ValueError, match="nothing to merge"):
        model.merge()
