"""Where in space and time a trained model finds what it answers.

Two maps over the tokens of a clip, for a ViT of any kind and whatever a method made of it:

- evidence: gradient x activation of the answer's logit at the inputs of the blocks (as HiResCAM,
  Draelos and Carin 2020, https://arxiv.org/abs/2011.08891, at every block instead of the last
  layer, whose patches a class token no longer reads), negative parts left out, summed over blocks;
- attention: what the last block's class token, or the pooling that stands for one, attends to.

And of the methods that look over time, what each looks at: attention between frames (AIM, divided
attention), heads that read another frame (ZeroI2V), kernels over time (ST-Adapter).

Shapes: T frames, h w patches of one, D width, S blocks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from benchmark.cost.plain import plain
from benchmark.inference.trained_model import TrainedModel
from benchmark.models.video_vit import VideoViT


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a model's answer for one view of a video rests on.

    Attributes:
        frames: (T, C, H, W) uint8, what it saw.
        answer: The class that is explained.
        probability: Its, of this view.
        evidence: (T, h, w), at least 0; its sum is 1, or 0 where nothing speaks for the answer.
        attention: (T, h, w), mean over heads; None: there is no class token, and no such pooling.
        between_frames: (S, T, T), row t: what frame t attends to, mean over heads and tokens.
            None: there is no attention over time.
        shifted: Frame offset -> (T, h, w), what the heads that read that frame attend to in it, by
            the frame that reads. Empty: there are none.
        kernels: (S', kernel), the share of its energy that a kernel over time has at each offset.
            None: there are no such kernels.
    """

    frames: Tensor
    answer: int
    probability: float
    evidence: Tensor
    attention: Tensor | None = None
    between_frames: Tensor | None = None
    shifted: dict[int, Tensor] = field(default_factory=dict)
    kernels: Tensor | None = None


def explain(trained: TrainedModel, view: Tensor, answer: int | None = None) -> Explanation:
    """Explain an answer for one view, uint8 (C, T, H, W).

    Args:
        trained: The model.
        view: What it sees.
        answer: The class to explain; None: the one it answers.
    """
    model, pixels = plain(trained.model), trained.pixels()  # in whose forms attention is told apart
    grid = model.vit.patch_embed.grid_size
    inputs: list[Tensor] = []
    hooks = [block.register_forward_pre_hook(_keep(inputs)) for block in model.vit.blocks]
    try:
        with torch.enable_grad(), _Attention(model.frames_seen, grid) as seen:
            video = pixels.normalise(view[None]).requires_grad_()
            logits = model(video)[0]
            answer = int(logits.argmax()) if answer is None else answer
            gradients = torch.autograd.grad(logits[answer], inputs)
    finally:
        for hook in hooks:
            hook.remove()
    probability = float(logits.detach().double().softmax(dim=-1)[answer])
    seen_from = seen.of_class_tokens if model.vit.num_prefix_tokens else seen.of_pooling
    last = seen_from[-1] if seen_from and model.vit.attn_pool is None else None
    if seen.of_pooling:
        last = seen.of_pooling[-1]
    return Explanation(
        frames=view.transpose(0, 1),
        answer=answer,
        probability=probability,
        evidence=_of_all_frames(model, _evidence(inputs, gradients, grid)),
        attention=None if last is None else _of_all_frames(model, last.mean(dim=1)),
        between_frames=torch.stack(seen.between_frames) if seen.between_frames else None,
        shifted=_shifted(model, seen.of_class_tokens),
        kernels=_kernels(model),
    )


def _keep(inputs: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        inputs.append(arguments[0])

    return hook


def _of_all_frames(model: VideoViT, seen: Tensor) -> Tensor:
    """Return maps (T, h, w) of the frames that the ViT sees, zero of those that it does not."""
    found = seen.new_zeros(model.frames, *seen.shape[1:])
    found[:: model.stride] = seen
    return found


def _evidence(inputs: list[Tensor], gradients: tuple[Tensor, ...], grid: tuple[int, int]) -> Tensor:
    """Return what speaks for the answer, (T, h, w); patches are each frame's last tokens."""
    patches = grid[0] * grid[1]
    total = torch.zeros(inputs[0].shape[0], patches)
    for x, gradient in zip(inputs, gradients, strict=True):  # (T, N, D)
        spoken = (x.detach() * gradient)[:, -patches:].sum(dim=-1).clamp(min=0).cpu()
        total += spoken / spoken.sum().clamp(min=1e-12)  # blocks count alike
    total = total / total.sum().clamp(min=1e-12)
    return total.unflatten(1, grid)


class _Attention(TorchFunctionMode):
    """Look at every attention that is computed: whatever calls torch's, in whatever module.

    Attributes:
        of_class_tokens: Per block (T, heads, h, w): from the first token to the patches.
        of_pooling: Likewise, where one query pools all patches.
        between_frames: Per block (T, T), mean over heads and tokens.
    """

    def __init__(self, frames: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.frames, self.grid = frames, grid
        self.of_class_tokens: list[Tensor] = []
        self.of_pooling: list[Tensor] = []
        self.between_frames: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            self._look(args[0].detach(), args[1].detach(), kwargs.get("scale"))
        return func(*args, **kwargs)

    def _look(self, q: Tensor, k: Tensor, scale: float | None) -> None:
        """Look at queries (batch, heads, queries, d) and keys (batch, heads, keys, d)."""
        patches, (batch, _, queries, width) = self.grid[0] * self.grid[1], q.shape
        scale = width**-0.5 if scale is None else scale
        if batch == queries == self.frames == k.shape[2]:
            return  # as many tokens as frames: nothing tells whether it looks within or between
        if queries == self.frames == k.shape[2] and batch >= patches:
            weights = (scale * q @ k.transpose(-2, -1)).softmax(dim=-1)
            self.between_frames.append(weights.mean(dim=(0, 1)).cpu())
        elif batch == self.frames and k.shape[2] >= patches:
            first = (scale * q[:, :, :1] @ k.transpose(-2, -1)).softmax(dim=-1)
            found = first[:, :, 0, -patches:].unflatten(-1, self.grid).cpu()
            (self.of_pooling if queries == 1 else self.of_class_tokens).append(found)


def _shifted(model: VideoViT, attention: list[Tensor]) -> dict[int, Tensor]:
    """Return what the class tokens of shifted heads attend to, mean over blocks, by frame read."""
    found = (getattr(each, "shifts", None) for each in model.modules())
    shifts = next((each for each in found if isinstance(each, Mapping)), {})
    if not shifts or not attention or not model.vit.num_prefix_tokens:
        return {}
    if attention[0].shape[1] < sum(shifts.values()):
        return {}
    mean = torch.stack(attention).mean(dim=0)  # (T, heads, h, w)
    maps, head = {}, 0
    for offset, count in shifts.items():
        if count:
            maps[int(offset)] = mean[:, head : head + count].mean(dim=1)
        head += count
    return maps


def _kernels(model: VideoViT) -> Tensor | None:
    """Return how the energy of every kernel over time lies over frames, (kernels, kernel)."""
    found = [p.detach() for p in model.parameters() if p.ndim == 5 and p.shape[2] > 1]
    if not found or len({each.shape[2] for each in found}) > 1:
        return None
    energy = torch.stack([each.square().sum(dim=(0, 1, 3, 4)) for each in found]).cpu()
    return energy / energy.sum(dim=1, keepdim=True).clamp(min=1e-12)
