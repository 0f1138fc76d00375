"""How fast one core makes training clips: found in the file, decoded, augmented, in a batch.

Of the embedded digits, and of videos written as Kinetics has them (`datamodules.speed.decoding`).
Processor time, no worker processes, files in the page cache.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark.results.speed import Loading

EPOCHS = 3  # and one that warms up
COPIES = 4  # of each written video
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


def _written() -> Iterator[Loading]:
    from datamodules.speed.decoding import write  # imports av

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "videos").mkdir()
        for file in write(root / "videos"):
            for split in ("train", "test"):
                for number in range(COPIES):
                    place = root / split / f"class{number % 2}"
                    place.mkdir(parents=True, exist_ok=True)
                    (place / f"{file.stem}_{number}.mp4").hardlink_to(file)
        for frames, interval, sampling in BUDGETS:
            options = [f"data.root={root}", f"clip.frames={frames}", f"clip.interval={interval}"]
            rate = _rate(WRITTEN_RUN, [*options, f"clip.sampling={sampling}", "huge=true"])
            yield Loading(
                videos=WRITTEN,
                cached=False,
                frames=frames,
                size=224,
                sampling=sampling,
                clips_per_second=rate,
            )


def _rate(run: str, overrides: list[str]) -> float:
    """Return clips per second of a core, of a run's training clips."""
    from benchmark.recipes import build, compose  # they import omegaconf

    module = build.datamodule(compose.load(run, ["workers=0", *overrides]))
    rates = []
    for epoch in range(EPOCHS + 1):
        start, clips = time.process_time(), 0
        for batch in module.train_dataloader():
            clips += len(batch["label"])
        if epoch:
            rates.append(clips / (time.process_time() - start))
    return statistics.median(rates)
