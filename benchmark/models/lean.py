"""Training in less memory: what is cheap to compute is computed again for backward, not saved.

Cheap are norms, activations and convolutions over time: their inputs are saved anyway, and no
matrix product is done twice. Values and gradients are the same to the bit.
"""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from benchmark.models.activations import QuickGELU

CHEAP = (nn.LayerNorm, nn.GELU, QuickGELU)  # and any module whose `cheap` is true


@dataclass(frozen=True)
class _Recipe:
    """How to make a tensor again."""

    module: nn.Module
    source: Tensor
    shape: torch.Size

    def make(self) -> Tensor:
        with torch.no_grad():
            made: Tensor = self.module(self.source)
        return made.view(self.shape)


@contextmanager
def lean(model: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Save for backward no output of a cheap module of `model` within the block, if enabled.

    Only the forward pass belongs in the block. Under mixed precision a norm's output is saved as it
    is cast to 16 bits; activations, the larger part, are computed again.
    """
    if not enabled:
        yield
        return
    made: dict[int, tuple[weakref.ref[Tensor], nn.Module, Tensor]] = {}

    def remember(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            source = inputs[0].detach()
            made[output.untyped_storage().data_ptr()] = weakref.ref(output), module, source

    def pack(saved: Tensor) -> Tensor | _Recipe:
        found = made.get(saved.untyped_storage().data_ptr())
        if found is not None:
            output = found[0]()  # None: that memory holds another tensor by now
            if output is not None and _same(output, saved):
                return _Recipe(found[1], found[2], saved.shape)
        return saved.detach()  # the tensor itself would keep its own graph alive

    def unpack(kept: Tensor | _Recipe) -> Tensor:
        return kept.make() if isinstance(kept, _Recipe) else kept

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, CHEAP) or getattr(module, "cheap", False):
                stack.enter_context(module.register_forward_hook(remember))
        stack.callback(made.clear)  # the graph keeps `pack`
        stack.enter_context(saved_tensors_hooks(pack, unpack))
        yield


def _same(output: Tensor, saved: Tensor) -> bool:
    """Return whether `saved` is `output`, or all of it in another shape."""
    whole = output.is_contiguous() and saved.is_contiguous() and output.numel() == saved.numel()
    return whole and output.dtype == saved.dtype
