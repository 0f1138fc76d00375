"""What a model costs, counted, not quoted: parameters and multiply-accumulates.

One multiply-accumulate (MAC) is what the papers' "GFLOPs" count as one. Counted are products,
convolutions and attention. The papers' tool also counts a norm as five operations per element,
which adds 0.1 %; norms, activations and additions are left out here.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from benchmark.cost.plain import plain
from benchmark.cost.saved import SavedForBackward
from benchmark.models import checkpoint
from benchmark.models.video_vit import VideoViT
from benchmark.results.schema import ModelCost


def parameters(model: nn.Module, *, trained: bool = False) -> int:
    """Return the number of parameters, or of those that train."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def macs(model: VideoViT, *, size: int) -> int:
    """Return the MACs of one view: one clip of `model.frames` frames of `size` px."""
    return _count(model, size, backward=False)


def training_macs(model: VideoViT, *, size: int) -> int:
    """Return the MACs of training on one clip: forward, and what of backward is needed.

    Gradients of frozen weights are not computed, and gradients of activations only down to the
    lowest thing that trains: so a method's parameters say little about its cost. Attention is
    counted as mathematics has it, twice as much backward as forward; fused kernels compute the
    scores once more.
    """
    return _count(model, size, backward=True)


def saved_bytes(model: VideoViT, *, size: int) -> int:
    """Return the bytes that training on one clip keeps for backward, in 32 bits, at most.

    Of the papers' form, on the meta device: what attention's kernels keep differs by a few percent.
    """
    meta, clip = _on_meta(plain(model), size, backward=True)
    with SavedForBackward(meta) as saved:
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


def _count(model: VideoViT, size: int, *, backward: bool) -> int:
    """Count the papers' form of the model on the meta device, which computes nothing."""
    meta, clip = _on_meta(plain(model), size, backward=backward)
    formulas = {torch.ops.aten.convolution_backward: _convolution_backward}
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    # Some releases of torch count fused attention as nothing: count it as two products.
    with torch.set_grad_enabled(backward), sdpa_kernel(SDPBackend.MATH), counter:
        logits = meta(clip)
        if backward:
            cross_entropy(logits, torch.zeros(1, dtype=torch.int64, device="meta")).backward()
    return int(counter.get_total_flops()) // 2  # torch counts a multiply and an add


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
