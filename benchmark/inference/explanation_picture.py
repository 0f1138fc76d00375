"""An explanation as a picture: maps laid over the frames, and beside them what looks over time."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmark.inference.explain import Explanation
from benchmark.inference.picture import bare, figure, show

COLUMNS = 8  # frames side by side; of more, so many evenly
FRAME = 1.3  # inches
COLORS = "inferno"
BELOW = 2.7  # inches, of what looks over time
Numbers = NDArray[Any]


def draw(file: Path, found: Explanation, title: str, about: str = "") -> None:
    """Draw an explanation into `file`.

    Args:
        file: Where to.
        found: What is drawn.
        title: Of the picture: the video.
        about: The answer.
    """
    frames = len(found.frames)
    chosen = np.unique(np.linspace(0, frames - 1, min(frames, COLUMNS)).round().astype(int))
    rows = _rows(found)
    width = max(len(chosen) * FRAME + 1.3, 7.0)
    height = (len(rows) + 1) * (FRAME + 0.16) + BELOW + 0.5
    with figure(file, width, height) as drawn:
        above, below = drawn.subfigures(2, 1, height_ratios=[height - BELOW, BELOW])
        for each in (above, below):
            each.set_facecolor("none")
        above.suptitle(f"{title}\n{about}" if about else title, fontsize=9)
        axes = above.subplots(len(rows) + 1, len(chosen), squeeze=False)
        pictures = found.frames.permute(0, 2, 3, 1).numpy()
        for column, frame in enumerate(chosen):
            show(axes[0, column], pictures[frame], f"frame {frame + 1}")
            for row, (_, maps, reads) in enumerate(rows, start=1):
                read = min(max(frame + reads, 0), frames - 1)
                if read != frame + reads:  # at the border a frame reads itself
                    read = frame
                caption = f"{frame + 1} reads {read + 1}" if reads else ""
                _lay_over(axes[row, column], pictures[read], maps, frame, caption)
        for row, name in enumerate(["what it saw", *(name for name, _, _ in rows)]):
            axes[row, 0].set_ylabel(name, fontsize=7.5)
        _over_time(below, found)


def _rows(found: Explanation) -> list[tuple[str, Numbers, int]]:
    """Return the rows of maps: what they are, (T, h, w), and the offset of the frame under each."""
    rows = [("evidence:\ngradient × token", found.evidence.numpy(), 0)]
    if found.attention is not None:
        rows.append(("attention of\nthe last block", found.attention.numpy(), 0))
    for offset, maps in found.shifted.items():
        rows.append((f"heads that read\nframe t{offset:+d}", maps.numpy(), offset))
    return rows


def _lay_over(axes: Any, picture: Numbers, maps: Numbers, frame: int, caption: str) -> None:
    """Draw the map of a frame over a picture in grey; one scale for all frames of the row."""
    height, width, _ = picture.shape
    grey = picture.astype(float) @ [0.299, 0.587, 0.114]
    show(axes, grey, caption, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    low, high = float(np.quantile(maps, 0.2)), float(np.quantile(maps, 0.998))
    strength = np.clip((maps[frame] - low) / max(high - low, 1e-12), 0, 1)
    smooth = _enlarged(strength, height, width)
    axes.imshow(
        smooth, cmap=COLORS, vmin=0, vmax=1, alpha=0.75 * smooth**0.7, extent=(0, width, height, 0)
    )


def _enlarged(values: Numbers, height: int, width: int) -> Numbers:
    """Return a map of patches (h, w) in pixels, linear between the middles of patches."""

    def places(many: int, few: int) -> Numbers:
        return np.clip((np.arange(many) + 0.5) * few / many - 0.5, 0, few - 1)

    rows, columns = places(height, values.shape[0]), places(width, values.shape[1])
    wide = np.stack([np.interp(columns, np.arange(values.shape[1]), row) for row in values])
    tall = [np.interp(rows, np.arange(values.shape[0]), column) for column in wide.T]
    return np.stack(tall, axis=1)


def _over_time(place: Any, found: Explanation) -> None:
    """Draw how evidence lies over frames, and what the method looks at over time."""
    matrices = _thirds(found.between_frames)
    kernels = found.kernels is not None
    axes = place.subplots(1, 1 + len(matrices) + kernels, squeeze=False)[0]
    share = 100 * found.evidence.sum(dim=(1, 2)).numpy()
    numbers = np.arange(1, len(share) + 1)
    axes[0].bar(numbers, share, color="#0072b2", width=0.8)
    axes[0].set(xlabel="frame", xlim=(0.4, len(share) + 0.6))
    axes[0].set_title("evidence per frame, %", fontsize=8)
    axes[0].locator_params(axis="x", integer=True)
    for ax, (name, matrix) in zip(axes[1:], matrices, strict=False):
        _matrix(ax, matrix, f"attention between\nframes, {name}")
        ax.set(xlabel="frame attended to")
    if matrices:
        axes[1].set_ylabel("frame that attends")
    if found.kernels is not None:
        _kernels(axes[-1], found.kernels.numpy())


def _thirds(matrices: Tensor | None) -> list[tuple[str, Numbers]]:
    """Return the mean matrix of the first blocks, of those in the middle, of the last."""
    if matrices is None:
        return []
    parts = np.array_split(np.arange(len(matrices)), min(3, len(matrices)))

    def name(part: Numbers) -> str:
        first, last = part[0] + 1, part[-1] + 1
        return f"block {first}" if first == last else f"blocks {first} to {last}"

    return [(name(part), matrices[part.tolist()].mean(dim=0).numpy()) for part in parts]


def _matrix(axes: Any, matrix: Numbers, title: str) -> None:
    frames = len(matrix)
    extent = (0.5, frames + 0.5, frames + 0.5, 0.5)
    drawn = axes.imshow(matrix, cmap=COLORS, vmin=0, extent=extent)
    axes.grid(False)
    axes.set_title(title, fontsize=8)
    axes.locator_params(integer=True)
    axes.figure.colorbar(drawn, ax=axes, shrink=0.8)


def _kernels(axes: Any, shares: Numbers) -> None:
    """Draw how each adapter's kernel weighs the frames around, (kernels, kernel)."""
    blocks, size = shares.shape
    extent = (-(size // 2) - 0.5, size // 2 + 0.5, blocks + 0.5, 0.5)
    drawn = axes.imshow(shares, cmap=COLORS, vmin=0, vmax=1, aspect="auto", extent=extent)
    bare(axes)
    offsets = np.arange(-(size // 2), size // 2 + 1)
    axes.set_xticks(offsets, [f"t{each:+d}" if each else "t" for each in offsets])
    axes.set_yticks(range(1, blocks + 1))
    axes.set_ylabel("adapter, first to last")
    axes.set_title("energy of the kernel over time", fontsize=8)
    axes.figure.colorbar(drawn, ax=axes)
