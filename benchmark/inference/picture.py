"""Pictures of what a model sees: figures of frames, saved as the name of the file says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.leaderboard.pictures.theme import PAPER, drawing
from datamodules.files import atomic_write, demand_writable

SUFFIXES = (".png", ".jpg", ".pdf", ".svg")
DPI = 150


def demand_picture(file: Path) -> None:
    """Check that a picture can be written to `file`.

    Raises:
        UserError: It is none by its name, or cannot be written.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise UserError(f"{file}: a picture's name ends in {', '.join(SUFFIXES)}")
    demand_writable(file)


@contextmanager
def figure(file: Path, width: float, height: float) -> Iterator[Any]:
    """Give matplotlib's figure of a size in inches, and write it to `file` at the end, whole."""
    with drawing(width, height) as (drawn, _):
        drawn.set_facecolor(PAPER)
        yield drawn
        kind = file.suffix.lower().removeprefix(".")
        more: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
        with atomic_write(file) as stream:
            drawn.savefig(stream, format=kind, dpi=DPI, facecolor=PAPER, **more)


def show(axes: Any, picture: Any, caption: str = "", **how: Any) -> None:
    """Draw a picture (H, W, C) without ticks, a caption above it."""
    axes.imshow(picture, **how)
    bare(axes, caption)


def bare(axes: Any, caption: str = "") -> None:
    """Take ticks and frame from axes."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if caption:
        axes.set_title(caption, fontsize=7, pad=2)
