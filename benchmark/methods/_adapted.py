"""Frozen linear layers with something affine before them, which folds into one layer."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.LayerNorm)


class AdaptedLinear(nn.Module):
    """A frozen linear layer behind an adapter that is one affine map in eval mode.

    Args:
        linear: the layer.
        adapter: maps tokens (..., D) to tokens (..., D); its `matrix()` returns the weight (D, D)
            and the bias (D,) of that map, in float32.
    """

    def __init__(self, linear: nn.Linear, adapter: nn.Module) -> None:
        super().__init__()
        self.linear, self.adapter = linear, adapter

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., inputs) to tokens (..., outputs)."""
        y: Tensor = self.linear(self.adapter(x))
        return y

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that does the same."""
        weight = self.linear.weight.float()
        inner, shift = self.adapter.matrix()  # type: ignore[operator]
        return replaced(self.linear, weight @ inner, weight @ shift + bias_of(self.linear))


def bias_of(layer: Layer) -> Tensor:
    """Return a layer's bias in float32, zeros where it has none."""
    bias = layer.bias
    return layer.weight.new_zeros(len(layer.weight)).float() if bias is None else bias.float()


def replaced(layer: Layer, weight: Tensor, bias: Tensor) -> Layer:
    """Return a copy of a frozen layer with another weight and bias, in the layer's dtype."""
    other = copy.deepcopy(layer)
    dtype = layer.weight.dtype
    other.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    other.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
    return other
