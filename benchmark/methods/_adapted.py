"""Layers that a method changes: what is affine beside them folds into one layer."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.LayerNorm)


class Adapted(nn.Module):
    """A frozen linear layer before or behind an adapter that is one affine map in eval mode.

    Args:
        linear: the layer.
        adapter: maps tokens (..., D) to tokens (..., D); its `matrix()` returns the weight (D, D)
            and the bias (D,) of that map, in float32.
        before: whether the adapter comes before the layer.
    """

    def __init__(self, linear: nn.Linear, adapter: nn.Module, *, before: bool) -> None:
        super().__init__()
        self.linear, self.adapter, self.before = linear, adapter, before

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., inputs) to tokens (..., outputs)."""
        y: Tensor
        if self.before:
            y = self.linear(self.adapter(x))
        else:
            y = self.adapter(self.linear(x))
        return y

    @torch.no_grad()
    def merge(self) -> nn.Linear:
        """Return one linear layer that does the same, computed in float32, in the layer's dtype."""
        weight, bias = self.linear.weight.float(), bias_of(self.linear)
        own, shift = self.adapter.matrix()  # type: ignore[operator]
        if self.before:
            return replaced(self.linear, weight @ own, weight @ shift + bias)
        return replaced(self.linear, own @ weight, own @ bias + shift)


def two_layers(mlp: nn.Module, method: str) -> tuple[nn.Linear, nn.Linear]:
    """Return the two linear layers of an MLP, which `method` changes.

    Raises:
        ValueError: it is not made of two.
    """
    first, second = (getattr(mlp, name, None) for name in ("fc1", "fc2"))
    if not (isinstance(first, nn.Linear) and isinstance(second, nn.Linear)):
        raise ValueError(f"{method} needs an MLP of two layers, this ViT has {type(mlp)}")
    return first, second


def in_one(first: nn.Linear, second: nn.Linear, x: Tensor) -> Tensor:
    """Map tokens (..., inputs) through two linear layers with nothing between, as one product.

    Where tokens are many the product of the two weights costs little beside what it spares:
    a product forward and two backward over all tokens, and what lies between is not saved.
    """
    weight = second.weight @ first.weight
    bias = second.bias if first.bias is None else second(first.bias)
    return F.linear(x, weight, bias)


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
