"""The one model of this benchmark: an image ViT that watches clips.

Shapes, here and in every method:
    B = clips in the batch, T = frames per clip, N = tokens per frame (prefix tokens first: class
    token, registers), C, H, W = one frame, D = width of the ViT, K = classes.
    (B T, N, D) reads: B and T folded into one axis, T the faster of the two.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain

import torch
from einops import rearrange, repeat
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmark.models.activations import quicken

HEAD_STD = 0.02  # ST-Adapter's

for each in (rearrange, repeat):  # how they read a pattern is most of what would be traced
    torch.compiler.allow_in_graph(each)


class VideoViT(nn.Module):
    """Run an image ViT on every frame, average the frame features over time, classify.

    The ViT arrives here to be frozen, and the head is born trainable. A method
    (`benchmark.methods`) changes `vit` in place; what it creates or thaws is what trains.

    `norm` is empty unless a method moves the ViT's final norm there, behind the average over time
    (ST-Adapter); AIM and ZeroI2V leave it where it is, before that average.

    What lies before the first thing that trains runs under no_grad: nothing is saved there.

    `frames` are read from the video; the ViT sees every `stride`-th of them, from the first on.

    Args:
        vit: a timm `VisionTransformer` without its classifier (`num_classes=0`).
        frames: T, frames per clip.
        num_classes: K.
        dropout: of the clip's feature, before the head; the papers' heads use 0.5.
        head_std: of the head's weights as they start, at a bias of 0; None: as PyTorch's Linear.
    """

    def __init__(
        self,
        vit: VisionTransformer,
        frames: int,
        num_classes: int,
        dropout: float = 0.0,
        head_std: float | None = HEAD_STD,
    ) -> None:
        super().__init__()
        self.frames = frames
        quicken(vit)
        self.vit = vit.requires_grad_(False)
        self.norm: nn.Module = nn.Identity()
        self.reader: nn.Module | None = None
        self.taps: tuple[int, ...] = ()
        self.stride = 1
        self.dropout = nn.Dropout(dropout)
        self.head_std = head_std
        self.head = _head(vit.embed_dim, num_classes, head_std)

    def read_by(
        self, reader: nn.Module, *, taps: Sequence[int], width: int, stride: int = 1
    ) -> None:
        """Let a module make the clip's feature from what the frozen ViT makes of every frame.

        The model's pooling, average over time and `norm` are left out then, and so is the ViT's
        final norm unless it is read.

        Args:
            reader: maps normalised clips (B, C, T, H, W) and a list of tokens (B T, N, D), one
                for each of `taps`, to features (B, width).
            taps: which tokens, in any order: 0 for those that enter the first block, n for those
                that leave the n-th, one more than there are blocks for those behind the final norm.
            width: of the feature; the head is made anew for it.
            stride: the ViT sees every `stride`-th frame, the reader the whole clip.

        Raises:
            ValueError: there are no such tokens, or `stride` does not divide the frames.
        """
        if stride < 1 or self.frames % stride:
            raise ValueError(f"stride is {stride}, which does not divide {self.frames} frames")
        last = len(self.vit.blocks) + 1
        if wrong := [tap for tap in taps if not 0 <= tap <= last]:
            raise ValueError(f"taps has {wrong}; this ViT has 0 to {last}")
        self.reader, self.taps, self.stride = reader, tuple(taps), stride
        norm = self.final_norm() if last in taps else nn.Identity()
        self.vit.norm, self.vit.fc_norm = norm, nn.Identity()
        self.vit.attn_pool = None  # type: ignore[assignment]
        self.head = _head(width, self.head.out_features, self.head_std)

    def forward(self, video: Tensor) -> Tensor:
        """Map normalised clips (B, C, T, H, W) to logits (B, K)."""
        logits: Tensor = self.head(self.dropout(self.features(video)))  # (B, K)
        return logits

    def features(self, video: Tensor) -> Tensor:
        """Map normalised clips (B, C, T, H, W) to what the head sees of them, (B, D)."""
        seen, frames = video[:, :, :: self.stride], self.frames_seen
        x = rearrange(seen, "b c t h w -> (b t) c h w", t=frames)
        tapped: dict[int, Tensor] = {}
        saves = x.requires_grad
        for number, (stage, parameters) in enumerate(self._stages()):
            saves = saves or any(p.requires_grad for p in parameters)
            frozen = torch.is_grad_enabled() and not saves
            with torch.no_grad() if frozen else nullcontext():
                x = stage(x)
            if number in self.taps:
                tapped[number] = x
        features: Tensor
        if self.reader is not None:
            features = self.reader(video, [tapped[tap] for tap in self.taps])
            return features
        x = rearrange(x, "(b t) d -> b t d", t=frames).mean(1)
        features = self.norm(x)
        return features

    def _stages(self) -> Iterator[tuple[Callable[[Tensor], Tensor], Iterator[nn.Parameter]]]:
        """Yield timm's forward pass in steps: frames to tokens, blocks, final norm, pooling."""
        vit = self.vit
        later = {"blocks", "norm", "fc_norm", "attn_pool"}
        own = chain(  # also what a method shares among blocks, which the first of them may read
            vit.parameters(recurse=False),
            *(each.parameters() for name, each in vit.named_children() if name not in later),
        )
        yield self._embed, own
        for block in vit.blocks:
            again = vit.grad_checkpointing and torch.is_grad_enabled()
            yield partial(_recomputed, block) if again else block, block.parameters()
        yield vit.norm, vit.norm.parameters()
        if self.reader is None:
            read = [m for m in (vit.attn_pool, vit.fc_norm) if isinstance(m, nn.Module)]
            pool = partial(vit.forward_head, pre_logits=True)  # (B T, N, D) to (B T, D)
            yield pool, chain.from_iterable(m.parameters() for m in read)

    def _embed(self, x: Tensor) -> Tensor:
        """Map frames (B T, C, H, W) to tokens (B T, N, D), as timm's `forward_features` does."""
        vit = self.vit
        tokens: Tensor = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(x))))
        return tokens

    def train(self, mode: bool = True) -> VideoViT:
        """Set the mode of what trains; what is frozen as a whole stays in eval mode.

        `requires_grad=False` alone does not stop dropout, drop-path or batch statistics.
        """
        super().train(mode)
        if mode:
            for module in _frozen(self):
                module.eval()
        return self

    def final_norm(self) -> nn.Module:
        """Return the ViT's last norm, wherever this kind of ViT keeps it.

        timm calls it `norm` where one token is read out and `fc_norm` where the patches are
        averaged first; the other of the two is then an identity.
        """
        averaged = next(self.vit.fc_norm.parameters(), None) is not None
        norm: nn.Module = self.vit.fc_norm if averaged else self.vit.norm
        return norm

    @property
    def frames_seen(self) -> int:
        """How many of the clip's frames the ViT sees."""
        return self.frames // self.stride

    @property
    def mergeable(self) -> bool:
        """Whether a module of the model has `merge() -> nn.Module`."""
        return any(callable(getattr(each, "merge", None)) for each in _descendants(self))

    def merged_or_self(self) -> VideoViT:
        """Return `merge()` where something merges, otherwise the model itself."""
        return self.merge() if self.mergeable else self

    def merge(self) -> VideoViT:
        """Return a copy whose mergeable modules are folded into the frozen layers around them.

        A module is mergeable if it has `merge() -> nn.Module`. The model itself is left as it is.

        Raises:
            ValueError: nothing in the model can be merged.
        """
        if not self.mergeable:
            raise ValueError("nothing to merge: no module of this model has merge()")
        merged = copy.deepcopy(self)
        _merge_children(merged)
        return merged


def _head(width: int, num_classes: int, std: float | None) -> nn.Linear:
    head = nn.Linear(width, num_classes)
    if std is not None:
        nn.init.normal_(head.weight, std=std)
        nn.init.zeros_(head.bias)
    return head


def _recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """Run a block that saves its input only, and runs again for backward."""
    y: Tensor = checkpoint(block, x, use_reentrant=False)
    return y


def blocks(vit: VisionTransformer) -> Iterator[tuple[int, Block]]:
    """Yield the index and the block of every block; a method may replace `vit.blocks[index]`.

    Raises:
        ValueError: a method already changed the blocks; methods do not stack.
    """
    for index, block in enumerate(vit.blocks):
        if not isinstance(block, Block):
            raise ValueError(f"block {index} is a {type(block).__name__}, not timm's plain Block")
        yield index, block


def _frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the topmost modules that have parameters, none of which trains."""
    for child in module.children():
        parameters = list(child.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            yield child
        else:
            yield from _frozen(child)


def _descendants(module: nn.Module) -> Iterator[nn.Module]:
    return (each for each in module.modules() if each is not module)


def _merge_children(module: nn.Module) -> None:
    """Replace every mergeable descendant by its merged self."""
    for name, child in module.named_children():
        if callable(merge := getattr(child, "merge", None)):
            setattr(module, name, merge())
        else:
            _merge_children(child)
