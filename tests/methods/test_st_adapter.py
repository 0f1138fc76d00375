"""ST-Adapter's blocks: the last so many, or those that are named."""

import pytest
import torch
from tiny import construct

from benchmark.methods.st_adapter import STBlock


def adapted(layers: object) -> list[int]:
    model = construct("class token", "st_adapter", layers=layers)
    return [i for i, block in enumerate(model.vit.blocks) if isinstance(block, STBlock)]


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [(None, [0, 1]), (2, [0, 1]), (1, [1]), (0, []), ([0], [0]), ([1, 0], [0, 1]), ([], [])],
)
def test_layers_are_a_number_of_the_last_ones_or_their_numbers(
    layers: object, numbers: list[int]
) -> None:
    assert adapted(layers) == numbers


def test_the_last_ones_are_the_same_by_number_and_by_name() -> None:
    video = torch.randn(1, 3, 4, 32, 32)
    by_count, by_name = (
        construct("class token", "st_adapter", layers=layers) for layers in (1, [1])
    )
    assert torch.equal(by_count.eval()(video), by_name.eval()(video))
    assert [n for n, _ in by_count.named_parameters()] == [n for n, _ in by_name.named_parameters()]


@pytest.mark.parametrize("layers", [3, -1, [2], [-1], [0, 0]])
def test_blocks_that_are_not_there_are_refused(layers: object) -> None:
    with pytest.raises(ValueError, match=r"this ViT has 2 blocks, numbered from 0"):
        adapted(layers)
