"""QuickGELU, CLIP's activation, in one pass: its input is all that is saved for backward."""

from typing import Any

import torch
from timm.layers.activations import QuickGELU as SlowQuickGELU
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SLOPE = 1.702  # of Hendrycks and Gimpel's approximation, https://arxiv.org/abs/1606.08415


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), to the bit as timm and OpenAI compute it.

    Their three products save four tensors' worth of memory and, the largest tensors of a ViT being
    here, cost a twentieth of a step on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same."""
        if torch.compiler.is_compiling():  # which fuses by itself
            return x * torch.sigmoid(SLOPE * x)
        if torch.is_grad_enabled() and x.requires_grad:
            y: Tensor = _QuickGELU.apply(x)
            return y
        return _quick_gelu(x)


class _QuickGELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _quick_gelu(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        scaled = x * SLOPE  # QuickGELU(x) = SiLU(1.702 x) / 1.702, whose derivative is SiLU's there
        gradient = gradient.contiguous()
        return torch.ops.aten.silu_backward.grad_input(gradient, scaled, grad_input=scaled)


def _quick_gelu(x: Tensor) -> Tensor:
    return (x * SLOPE).sigmoid_().mul_(x)


def quicken(module: nn.Module) -> None:
    """Replace every QuickGELU of timm's in `module` by this one; there are no parameters in it."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is SlowQuickGELU:
                setattr(parent, name, QuickGELU())
