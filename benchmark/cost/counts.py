"""What a model costs, counted, not quoted: parameters and multiply-accumulates.

One multiply-accumulate (MAC) is what the papers' "GFLOPs" count as one. Counted are products,
convolutions and attention. The papers' tool also counts a norm as five operations per element,
which adds 0.1 %; norms, activations and additions are left out here.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmark.cost.plain import made_plain, plain
from benchmark.cost.saved import SavedForBackward
from benchmark.models import checkpoint
from benchmark.models.video_vit import VideoViT
from benchmark.results.schema import ModelCost


def parameters(model: nn.Module, *, trained: bool = False) -> int:
    """Return the number of parameters, or of those that train."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def macs(model: VideoViT, *, size: int, keep: bool = True) -> int:
    """Return the MACs of one view: one clip of `model.frames` frames of `size` px.

    Args:
        model: What is counted.
        size: Of a frame, in px.
        keep: Whether the model is left as it is, for which it is copied.
    """
    return _count(plain(model) if keep else made_plain(model), size, backward=False)


def training_macs(model: VideoViT, *, size: int) -> int:
    """Return the MACs of training on one clip: forward, and what of backward is needed.

    Gradients of frozen weights are not computed, and gradients of activations only down to the
    lowest thing that trains: so a method's parameters say little about its cost. Attention is
    counted as mathematics has it, twice as much backward as forward; fused kernels compute the
    scores once more.
    """
    return _count(plain(model), size, backward=True)


def saved_bytes(model: VideoViT, *, size: int) -> int:
    """Return the bytes that training on one clip keeps for backward, in 32 bits, at most.

    Of the papers' form, on the meta device: what attention's kernels keep differs by a few percent.
    """
    meta, clip = _on_meta(plain(model), size, backward=True)
    with _Products(), SavedForBackward(meta) as saved:
        loss = cross_entropy(meta(clip), torch.zeros(1, dtype=torch.int64, device="meta"))
    del loss
    return saved.bytes


def model_costs(model: VideoViT, *, size: int, views: int) -> ModelCost:
    """Return what can be counted of a model before it is trained, as its record has it.

    Args:
        model: as it is in training.
        size: of a frame, in px.
        views: of a video in testing.
    """
    tested = model.merged_or_self()
    saved = checkpoint.trained(model).values()
    return ModelCost(
        trained_parameters=parameters(model, trained=True),
        head_parameters=parameters(model.head),
        total_parameters=parameters(tested),
        total_parameters_training=parameters(model),
        macs_per_view=macs(tested, size=size),
        training_macs=training_macs(model, size=size),
        views=views,
        merged=tested is not model,
        checkpoint_bytes=sum(p.numel() * p.element_size() for p in saved),
    )


def _count(own: VideoViT, size: int, *, backward: bool) -> int:
    """Count a model in the papers' form that nobody else has, where nothing is computed."""
    meta, clip = _on_meta(own, size, backward=backward)
    counter = _Products()
    # Some releases of torch count fused attention as nothing: count it as two products.
    with torch.set_grad_enabled(backward), sdpa_kernel(SDPBackend.MATH), counter:
        logits = meta(clip)
        if backward:
            cross_entropy(logits, torch.zeros(1, dtype=torch.int64, device="meta")).backward()
    return counter.flops // 2  # torch counts a multiply and an add


class _Products(TorchDispatchMode):
    """Add up what is counted of operations on the meta device, whose results are only shapes.

    Torch's own counter also keeps a table of modules, and has every block of a model worked out
    anew: it takes five times as long.

    Attributes:
        flops: Of all operations within the context.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do an operation, unless it was done on such shapes before, and count it."""
        kwargs = kwargs or {}
        asked = (func, _outline(args), _outline([*kwargs.items()])) if _makes(func) else None
        if asked in _DONE:
            shapes, flops = _DONE[asked]
            self.flops += flops
            return shapes.empty() if isinstance(shapes, _Shape) else tuple(map(_empty, shapes))
        out = func(*args, **kwargs)
        formula = _formulas().get(func._overloadpacket)
        flops = formula(*args, **kwargs, out_val=out) if formula else 0
        self.flops += flops
        if asked is not None and (shapes := _shapes(out)):
            _DONE[asked] = shapes, flops
        return out


# An operation and the shapes of what it is given -> the shapes of its result, and what is counted.
_DONE: dict[Any, tuple[Any, int]] = {}


class _Shape(NamedTuple):
    """All that there is of a tensor on the meta device."""

    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @staticmethod
    def of(tensor: Tensor) -> "_Shape":
        return _Shape(tensor.shape, tensor.stride(), tensor.dtype, tensor.device)

    def empty(self) -> Tensor:
        return torch.empty_strided(self.size, self.stride, dtype=self.dtype, device=self.device)


def _empty(shape: _Shape | None) -> Tensor | None:
    return None if shape is None else shape.empty()


def _shapes(out: Any) -> _Shape | tuple[_Shape | None, ...] | None:
    """Return the shapes of a result; None where it has values, too, which may be others again."""
    if isinstance(out, Tensor):
        return _Shape.of(out) if out.is_meta else None
    if all(each is None or each.is_meta for each in out):
        return tuple(each if each is None else _Shape.of(each) for each in out)
    return None


@cache
def _formulas() -> dict[Any, Callable[..., int]]:
    own = {torch.ops.aten.convolution_backward: _convolution_backward}
    return FlopCounterMode(display=False, custom_mapping=own).flop_registry


@cache
def _makes(func: Any) -> bool:
    """Return whether an operation only makes tensors, and leaves those alone that it is given."""
    returns = func._schema.returns
    new = all(str(each.type) == "Tensor" and each.alias_info is None for each in returns)
    return new and bool(returns) and not func._schema.is_mutable


def _outline(value: Any) -> Any:
    """Return what an operation's result depends on, of what it is given."""
    if isinstance(value, Tensor):
        return _Shape.of(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(_outline, value))
    return type(value), value


def _on_meta(own: VideoViT, size: int, *, backward: bool) -> tuple[VideoViT, torch.Tensor]:
    """Take a model that nobody else has, and a clip for it, to where nothing is computed."""
    meta = own.to("meta").train(backward)
    meta.vit.set_grad_checkpointing(False)
    channels = meta.vit.patch_embed.proj.in_channels
    return meta, torch.empty(1, channels, meta.frames, size, size, device="meta")


def _convolution_backward(
    grad_shape: list[int],
    input_shape: list[int],
    weight_shape: list[int],
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: list[bool],
    out_shape: object,
    **unused: Any,
) -> int:
    """Return the FLOPs of a convolution's gradients; torch's own formula forgets its groups.

    For a depthwise kernel such as ST-Adapter's that would be 384 times too much. Gradients of
    input and of weight each cost as much as the convolution itself.
    """
    forward = 2 * math.prod(grad_shape) * math.prod(weight_shape[1:])
    return forward * sum(output_mask[:2])
