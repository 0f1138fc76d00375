"""Sums for convolutions, moves for shifts: odd sizes, gradients, what must not be touched."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from benchmark.methods._head_shifts import shift_heads
from benchmark.methods._temporal import ConvolutionOverTime

SHIFTS = [{-1: 1, 1: 1}, {2: 2, -3: 1}, {9: 1}, {0: 1, -1: 0, 1: 2}]


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "frames"), [(1, 2), (3, 1), (3, 4), (5, 2), (7, 3)])
def test_a_sum_of_products_is_the_convolution(kernel: int, frames: int) -> None:
    conv = ConvolutionOverTime(6, kernel, frames).double()
    x = torch.randn(2 * frames, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: conv(x), (x, conv.weight, conv.bias))
    clips = x.unflatten(0, (2, frames)).permute(0, 3, 1, 2)[..., None]  # (B, D, T, N, 1)
    theirs = nn.Conv3d.forward(conv, clips)[..., 0].permute(0, 2, 3, 1).flatten(0, 1)
    assert_close(conv(x), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("shifts", SHIFTS)
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_heads_move_with_and_without_a_graph(shifts: dict[int, int], frames: int) -> None:
    qkv = torch.randn(2 * frames, 3, 3 * 4 * 2, dtype=torch.float64, requires_grad=True)

    def move(x: Tensor) -> Tensor:
        return shift_heads(x * 1, frames, 4, shifts)

    assert torch.autograd.gradcheck(move, (qkv,))
    with torch.no_grad():
        assert_close(move(qkv), _moved(qkv, frames, 4, shifts))
    assert_close(move(qkv), _moved(qkv, frames, 4, shifts))


def _moved(qkv: Tensor, frames: int, heads: int, shifts: dict[int, int]) -> Tensor:
    """Every head of every frame looked up by itself."""
    x = qkv.detach().unflatten(2, (3, heads, -1)).unflatten(0, (-1, frames))
    offsets = [offset for offset, count in shifts.items() for _ in range(count)]
    found = x.clone()
    for head, offset in enumerate(offsets):
        for frame in range(frames):
            if 0 <= frame + offset < frames:
                found[:, frame, :, 1:, head] = x[:, frame + offset, :, 1:, head]
    return found.flatten(3).flatten(0, 1)


def test_mixed_precision_computes_in_16_bits() -> None:
    conv = ConvolutionOverTime(6, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y: Tensor = conv(nn.Linear(6, 6)(torch.randn(8, 5, 6)))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    for p in conv.parameters():
        assert p.grad is not None and p.grad.dtype == torch.float32
