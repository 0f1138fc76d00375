"""How fast one core makes training clips: found in the file, decoded, augmented, in a batch.

Of the embedded digits, and of videos written as Kinetics has them (`datamodules.speed.decoding`).
Processor time, no worker processes, files in the page cache. And how fast for runs that share them.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.results.speed import Loading, Sharing

EPOCHS = 3  # and one that warms up
COPIES = 4  # of each written video
SHARED_COPIES, SHARED_EPOCHS = 40, 1  # of those that runs share
RUNS, WINDOW = 8, 0.1  # at once, and what is kept of an epoch
DIGITS, WRITTEN = "digits", "H.264, 340 x 256, 10 s"
DIGITS_RUN = "quick/digits_motion/vit_digits/linear_probe"
WRITTEN_RUN = "own/folder/vit_b16_clip/linear_probe"
BUDGETS = (  # frames, every so manieth, and how the clip is chosen
    (8, 16, "dense"),
    (16, 8, "dense"),
    (8, 1, "uniform"),
)


def measure() -> tuple[Loading, ...]:
    """Return the rates of digits, decoded and cached, and of written videos."""
    return (*_digits(), *_written())


def _digits() -> Iterator[Loading]:
    for cached in (False, True):
        options = [f"cache={str(cached).lower()}", "data.train=320", "data.test=16"]
        rate = _rate(DIGITS_RUN, options)
        yield Loading(
            videos=DIGITS,
            cached=cached,
            frames=8,
            size=32,
            sampling="uniform",
            clips_per_second=rate,
        )


def sharing() -> tuple[Sharing, ...]:
    """Return what runs at once decode of written videos that they share."""
    from datamodules.speed import sharing  # imports torch

    frames, interval, sampling = BUDGETS[0]
    with _videos(SHARED_COPIES) as root:
        loader = _loader(WRITTEN_RUN, _options(root, frames, interval, sampling))
        found = sharing.measure(loader.dataset, runs=RUNS, epochs=SHARED_EPOCHS, window=WINDOW)
    return (
        Sharing(
            videos=WRITTEN,
            frames=frames,
            size=224,
            sampling=sampling,
            runs=RUNS,
            window=WINDOW,
            decoded=found.decoded,
            clips_per_second=1 / found.seconds,
            alone_per_second=1 / found.alone,
        ),
    )


def _written() -> Iterator[Loading]:
    with _videos(COPIES) as root:
        for frames, interval, sampling in BUDGETS:
            rate = _rate(WRITTEN_RUN, _options(root, frames, interval, sampling))
            yield Loading(
                videos=WRITTEN,
                cached=False,
                frames=frames,
                size=224,
                sampling=sampling,
                clips_per_second=rate,
            )


@contextmanager
def _videos(copies: int) -> Iterator[Path]:
    """Give a folder of written videos, so many copies of each, in two classes."""
    from datamodules.speed.decoding import write  # imports av

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "videos").mkdir()
        for file in write(root / "videos"):
            for split in ("train", "test"):
                for number in range(copies):
                    place = root / split / f"class{number % 2}"
                    place.mkdir(parents=True, exist_ok=True)
                    (place / f"{file.stem}_{number}.mp4").hardlink_to(file)
        yield root


def _options(root: Path, frames: int, interval: int, sampling: str) -> list[str]:
    options = [f"data.root={root}", f"clip.frames={frames}", f"clip.interval={interval}"]
    return [*options, f"clip.sampling={sampling}", "huge=true"]


def _loader(run: str, overrides: list[str]) -> Any:
    """Return the loader of a run's training clips."""
    from benchmark.recipes import build, compose  # they import omegaconf

    return build.datamodule(compose.load(run, ["workers=0", *overrides])).train_dataloader()


def _rate(run: str, overrides: list[str]) -> float:
    """Return clips per second of a core, of a run's training clips."""
    loader, rates = _loader(run, overrides), []
    for epoch in range(EPOCHS + 1):
        start, clips = time.process_time(), 0
        for batch in loader:
            clips += len(batch["label"])
        if epoch:
            rates.append(clips / (time.process_time() - start))
    return statistics.median(rates)
