"""Handwritten digits in motion: videos that ship their own source and need no download.

The 1,797 digits bundled with scikit-learn are drawn in colour on a smooth random background, move,
and are written as small H.264 files. Every pixel is a function of VERSION and the parameters.

Shapes: N pictures, T frames per clip, H = W = size in pixels. Lengths are in 1/32 of the picture,
so that a larger picture shows the same scene.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import Split
from datamodules.errors import UserError
from datamodules.files import build_once
from datamodules.progress_bar import ProgressBar

VERSION = 2  # count up whenever a change below changes a pixel or a label
# Which of scikit-learn's images each split may show. Pretraining uses those of "train".
IMAGES = {"train": range(1200), "holdout": range(1200, 1400), "test": range(1400, 1797)}
# Motions 2 i and 2 i + 1 are each other's time reversal.
MOTIONS = ("right", "left", "down", "up", "clockwise", "counter-clockwise", "growing", "shrinking")
RATE = 8  # frames per second written into the files
INDEX = "index.json"  # the last file of a dataset written: its parameters, labels and images

Floats = NDArray[np.floating[Any]]
Pictures = NDArray[np.uint8]  # (N, H, W, 3)


@dataclass(frozen=True, eq=False)
class Scene:
    """What a video shows, before it is drawn.

    Attributes:
        image: Number of the digit's image.
        motion: What it does, a number of MOTIONS.
        label: Of the video.
        rng: Draws all the rest.
        backwards: Whether the drawn frames are turned round.
    """

    image: int
    motion: int
    label: int
    rng: np.random.Generator
    backwards: bool = False


Choose = Callable[[str, int], Scene]  # split, number of the video in it -> what it shows


@cache
def digits() -> tuple[Floats, NDArray[np.int64]]:
    """Return the images (1797, 8, 8), 0 paper to 1 ink, and which digits they show."""
    from sklearn.datasets import load_digits  # a second to import, not needed to read videos back

    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8) / 16, labels.astype(np.int64)


def randomness(split: str, number: int) -> np.random.Generator:
    """Return the random numbers of a split's clip, the same however many clips there are."""
    return np.random.default_rng([VERSION, list(IMAGES).index(split), number])  # see randomness.py


def motion(
    image: Floats, number: int, rng: np.random.Generator, *, frames: int, size: int
) -> Pictures:
    """Draw a digit (8, 8) that does MOTIONS[number], (T, H, W, 3).

    Four things can move: x, y, angle and scale. One follows its path, the others rest somewhere on
    theirs, so that a single frame tells little. Odd motions are drawn as the even one before them
    and then reversed, noise and all: which of the two a clip shows lies in the order of its frames
    and in nothing else.
    """
    moments = np.repeat(_rest(1, rng), frames, axis=2)
    moments[number // 2] = np.linspace(0, 1, frames)
    pictures = _draw(image[None], _pose(moments, rng)[:, 0], rng, size)
    return pictures[::-1] if number % 2 else pictures


def stills(images: Floats, rng: np.random.Generator, *, size: int = 32) -> Pictures:
    """Draw every image (N, 8, 8) once, as a frame of a clip shows it, (N, H, W, 3)."""
    return _draw(images, _pose(_rest(len(images), rng), rng)[..., 0], rng, size)


def _rest(count: int, rng: np.random.Generator) -> Floats:
    """Draw where on their paths x, y, angle and scale stand still, 0 to 1, (4, N, 1)."""
    moments = rng.random((4, count, 1))
    moments[2] = 0.5  # upright, or a 6 is a 9
    return moments


def _pose(moments: Floats, rng: np.random.Generator) -> Floats:
    """Draw N paths; return x, y, angle and scale at `moments` of them, both (4, N, T)."""

    def draw(low: float, high: float) -> Floats:
        return rng.uniform(low, high, (moments.shape[1], 1))

    length = np.stack([draw(8, 12), draw(8, 12)])
    x, y = 10 + (12 - length) * np.stack([draw(0, 1), draw(0, 1)]) + length * moments[:2]
    angle = draw(-15, 15) + draw(70, 110) * (moments[2] - 0.5)  # degrees; y points down: clockwise
    growth = draw(1.45, 1.65)
    scale = 1.8 * (3 / 1.8 / growth) ** draw(0, 1) * growth ** moments[3]  # of a digit's pixel
    return np.stack([x, y, angle, scale])


def _draw(images: Floats, pose: Floats, rng: np.random.Generator, size: int) -> Pictures:
    """Draw digits (N, 8, 8), or one digit (1, 8, 8) in N poses (4, N), (N, H, W, 3).

    Everything but the noise is drawn once per image: a clip has one ink and one background.
    """
    n, unit = len(images), 32 / size
    ink, ground = rng.uniform(0.65, 1, (n, 3)), rng.uniform(0.1, 0.45, (n, 3))
    knots = ground[:, None, None] + rng.uniform(-0.12, 0.12, (n, 3, 3, 3))
    place = np.linspace(0, 2, size)
    weight = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(3)))  # (H, 3)
    weight = weight**2 * (3 - 2 * weight)  # no creases at the knots
    background = np.einsum("ya,xb,nabc->nyxc", weight, weight, knots, optimize=True)

    x, y, angle, scale = pose[..., None, None]  # each (N, 1, 1)
    down, right = np.mgrid[:size, :size] * unit + unit / 2  # pixel centres
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    column = ((right - x) * cosine + (down - y) * sine) / scale + 4.5  # a rim of paper around it
    row = ((down - y) * cosine - (right - x) * sine) / scale + 4.5
    column, row = np.clip(column, 0, 8.999), np.clip(row, 0, 8.999)
    left, top = column.astype(int), row.astype(int)
    column, row = column - left, row - top
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(-1)
    corner = (np.arange(n) * 100)[:, None, None] + 10 * top + left
    upper = padded[corner] * (1 - column) + padded[corner + 1] * column
    lower = padded[corner + 10] * (1 - column) + padded[corner + 11] * column
    cover = (upper * (1 - row) + lower * row)[..., None]

    pictures = background + cover * (ink[:, None, None] - background)
    noise = rng.standard_normal(pictures.shape, np.float32) * 0.02
    drawn: Pictures = np.clip((pictures + noise) * 255 + 0.5, 0, 255).astype(np.uint8)
    return drawn


def write(path: Path, pictures: Pictures) -> None:
    """Write frames (T, H, W, 3) as an H.264 file that keeps no trace of the order of its frames.

    With a rate factor, even without prediction between frames, x264 codes the first frame better
    than the rest, which gives away the direction of time. With qp=0 and full-resolution colour the
    coding is lossless, and the conversion to YUV treats every pixel alike.
    """
    import av
    from av.video.reformatter import VideoReformatter

    height, width = pictures.shape[1:3]
    options, reformatter = {"qp": "0", "preset": "ultrafast"}, VideoReformatter()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = reformatter.reformat(frame, format="yuv444p", threads=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def build(
    name: str,
    choose: Choose,
    videos: Mapping[str, int],
    *,
    root: str | Path | None,
    frames: int,
    size: int,
) -> dict[str, Split]:
    """Return the splits of a digits dataset; write the videos first if they do not exist yet.

    Args:
        name: The dataset's name.
        choose: What a split's video shows, by number.
        videos: How many videos each split has.
        root: Folder that holds the dataset's folder; None is `data` where runs work.
        frames: Frames per video.
        size: Height and width in pixels.

    Returns:
        The splits, the videos of one image being a cluster. The folder's name carries a key of
        VERSION and the parameters, and it appears only when it is complete; of two processes that
        start at once, one writes, the other waits.

    Raises:
        UserError: A number is impossible, or the folder cannot be written.
    """
    if frames < 2 or size < 16 or size % 2 or min(videos.values()) < 1:
        raise UserError(
            f"{name} needs at least 2 frames, an even size of at least 16 pixels and at least one "
            f"video in every split, not frames={frames}, size={size}, {dict(videos)}"
        )
    if root is None:
        from datamodules.files import RUNS

        root = RUNS / "data"
    root = Path(os.path.expanduser(root)).absolute()
    recipe = {"version": VERSION, "frames": frames, "size": size, **videos}
    key = hashlib.sha256(json.dumps([name, recipe], sort_keys=True).encode()).hexdigest()[:12]
    folder = root / f"{name}-{key}"
    build_once(
        folder,
        lambda part: _write_all(part, choose, videos, recipe),
        wait=f"waiting until {folder} is written by another process",
        proof=INDEX,
    )
    index = json.loads((folder / INDEX).read_text())
    images = index.get("images") or {  # of an older folder: what was drawn can be drawn again
        split: [choose(split, i).image for i in range(count)] for split, count in videos.items()
    }
    return {
        split: Split.of(
            [str(_file(Path(folder.name), split, i)) for i in range(len(own))],
            own,
            root,
            clusters=images[split],
        )
        for split, own in index["labels"].items()
    }


def _file(folder: Path, split: str, number: int) -> Path:
    return folder / split / f"{number:05d}.mp4"


def _write_all(
    folder: Path, choose: Choose, videos: Mapping[str, int], recipe: Mapping[str, int]
) -> None:
    """Write a dataset's videos and index into an empty folder."""
    for split in videos:
        (folder / split).mkdir()
    labels: dict[str, list[int]] = {split: [] for split in videos}
    used: dict[str, list[int]] = {split: [] for split in videos}
    images, _ = digits()
    todo = [(split, number) for split, count in videos.items() for number in range(count)]
    with ProgressBar(f"writing {folder.stem}", len(todo)) as told:
        for split, number in todo:
            scene = choose(split, number)
            pictures = motion(
                images[scene.image],
                scene.motion,
                scene.rng,
                frames=recipe["frames"],
                size=recipe["size"],
            )
            write(_file(folder, split, number), pictures[::-1] if scene.backwards else pictures)
            labels[split].append(scene.label)
            used[split].append(scene.image)
            told.advance()
    (folder / INDEX).write_text(json.dumps({**recipe, "labels": labels, "images": used}))
