"""What is true of ZeroI2V only: which heads see which frame, and that merging costs nothing."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from benchmark.methods._adapted import Adapted
from benchmark.methods.zeroi2v import LinearAdapter, ShiftedQKV, zeroi2v
from benchmark.models.video_vit import VideoViT

# The papers' patterns: config -> (heads, offset -> heads, what heads 0, 1, ... see).
PATTERNS = {
    "K400 B/16": (12, {-1: 1, 1: 1}, [-1, 1]),
    "SSv2 B/16": (12, {-1: 1, 1: 1, -2: 1, 2: 1}, [-1, 1, -2, 2]),
    "K400 L/14, 8 frames": (16, {-1: 2, 1: 2}, [-1, -1, 1, 1]),
    "K400 L/14, 32 frames": (16, {-1: 2, 1: 2, -2: 2}, [-1, -1, 1, 1, -2, -2]),
    "SSv2 L/14": (16, {-1: 2, 1: 2, -2: 1, 2: 1, -3: 1}, [-1, -1, 1, 1, -2, 2, -3]),
    "further than the clip": (4, {9: 1}, [9]),
}


class FrameNumber(nn.Module):
    """Queries, keys and values that all say which frame they come from."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        number = torch.arange(len(x)) % self.frames
        return number[:, None, None].expand(-1, x.shape[1], 3 * x.shape[2]).float()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_heads_see_the_frames_of_the_papers(pattern: str) -> None:
    heads, shifts, offsets = PATTERNS[pattern]
    frames, clips, size = 8, 2, 4
    shifted = ShiftedQKV(FrameNumber(frames), frames, heads, shifts)
    out = shifted(torch.zeros(clips * frames, 3, heads * size))
    q, k, v = out.reshape(clips, frames, 3, 3, heads, size).unbind(3)
    assert torch.equal(k, v)
    for head in range(heads):
        offset = offsets[head] if head < len(offsets) else 0
        for t in range(frames):
            seen = t + offset if 0 <= t + offset < frames else t  # at the border, its own
            assert (k[:, t, :, head] == seen).all(), (head, t)
            assert (q[:, t, :, head] == t).all()


def build(frames: int = 4, **options: object) -> VideoViT:
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=32, num_classes=0, depth=2)
    model = VideoViT(vit, frames=frames, num_classes=5)
    zeroi2v(model, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * 0.2)
    return model.eval()


@pytest.mark.parametrize("shifts", [{-1: 1, 1: 1}, {1: 1}, {-2: 1, 3: 1}])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_merging_changes_nothing(shifts: dict[int, int], scale: float) -> None:
    model = build(shifts=shifts, scale=scale)
    before = copy.deepcopy(model.state_dict())
    video = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        merged, plain = model.merge()(video), model(video)
    assert float((merged - plain).abs().max() / plain.abs().max()) < 1e-5
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_a_merged_model_is_the_plain_vit_and_an_embedding() -> None:
    merged = build().merge()
    plain = timm.create_model("test_vit", img_size=32, num_classes=0, depth=2)
    embedding = merged.vit.norm_pre[0].embedding  # type: ignore[index, union-attr]
    own = sum(p.numel() for p in merged.vit.parameters()) - embedding.numel()  # type: ignore[operator, union-attr]
    assert own == sum(p.numel() for p in plain.parameters())
    assert not any(isinstance(m, Adapted | LinearAdapter) for m in merged.modules())


def test_merging_in_bfloat16_is_done_in_float32() -> None:
    model = build()
    exact = model.merge().bfloat16().state_dict()
    adapted = model.bfloat16()
    found = adapted.merge().state_dict()
    for name, tensor in found.items():
        assert tensor.dtype == torch.bfloat16
        # what is left is the rounding of the factors, not of their product
        torch.testing.assert_close(tensor.float(), exact[name].float(), rtol=0.02, atol=0.02)


def test_adapters_may_be_left_out() -> None:
    model = build(adapters=("qkv", "proj", "fc1"))  # the authors' num_tadapter=1
    assert isinstance(model.vit.blocks[0].mlp.fc2, nn.Linear)  # type: ignore[union-attr]
    video = torch.randn(1, 3, 4, 32, 32)
    torch.testing.assert_close(model.merge()(video), model(video), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("listed", "shifts"),
    [
        ([-1, 1], {-1: 1, 1: 1}),
        ([-2, -2], {-2: 2}),
        ([], {}),
        (None, {-1: 1, 1: 1}),
    ],
)
def test_the_offsets_of_heads_may_be_listed(
    listed: list[int] | None, shifts: dict[int, int]
) -> None:
    video = torch.randn(2, 3, 4, 32, 32)
    assert torch.equal(build(shifts=listed)(video), build(shifts=shifts)(video))


def test_heads_of_one_offset_stand_together() -> None:
    with pytest.raises(ValueError, match=r"shifts is \[1, -1, 1\]; heads of one offset"):
        build(shifts=[1, -1, 1])
