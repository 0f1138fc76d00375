"""How fast clips are decoded, beside other ways to: `make bench-data`, `VIDEOS=dir` for your own.

Every contender has a process and one thread, and decodes the same clips of the same videos, out of
the page cache; they take turns, round by round. Time is that of the processor, so that other work
on the machine hardly matters; the memory is what a process takes at most, less what it took before.
Without videos it writes some as Kinetics has them: H.264, 340 x 256, 10 seconds, a key frame every
32 to 250 frames. Goals: at least 4 x stock pytorchvideo, never behind decoding everything, at most
15 % more time than the bare decoder.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.decoding.open import open_video
from datamodules.decoding.video import DecodeError
from datamodules.errors import UserError
from datamodules.loading import clip_sampling
from datamodules.speed.decoders import DECODERS, Clip, planned

VIDEOS, CLIPS = 20, 48  # at most so many videos, and at least so many clips of each budget
GAPS = (32, 64, 128, 250)  # frames from one key frame to the next, of the videos it writes
SHAPE, LENGTH, RATE = (256, 340), 300, 30
BUDGETS: dict[str, dict[str, Any]] = {
    "8 x 16 dense": {"sampling": clip_sampling.dense, "frames": 8, "interval": 16},
    "16 x 8 dense": {"sampling": clip_sampling.dense, "frames": 16, "interval": 8},
    "8 uniform": {"sampling": clip_sampling.uniform, "frames": 8, "interval": 1},
}
PACKAGES = ("av", "pytorchvideo", "torchcodec", "torch")
Seconds = dict[str, dict[str, list[float]]]  # budget -> contender -> of each round


def measure(videos: Sequence[Path], rounds: int) -> tuple[Seconds, dict[str, float]]:
    """Let the contenders decode the same clips in turn, for `rounds` and one that warms up.

    Returns:
        Seconds of every round, by budget and contender; megabytes each took at most while decoding.
    """
    names = [name for name in DECODERS if name != "torchcodec" or find_spec("torchcodec")]
    context = get_context("forkserver")  # whatever this process holds is no memory of theirs
    context.set_forkserver_preload([__name__])  # imported once, not by each
    crew: dict[str, Connection] = {}
    for name in names:
        crew[name], theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, name), daemon=True).start()
    seconds: Seconds = {budget: {name: [] for name in names} for budget in BUDGETS}
    memory = dict.fromkeys(names, 0.0)
    for number in range(rounds + 1):
        for budget, options in BUDGETS.items():
            clips = [_clip(video, np.random.default_rng(number), **options) for video in videos]
            for name in names[number % len(names) :] + names[: number % len(names)]:
                crew[name].send((clips, number))
                taken, memory[name] = crew[name].recv()
                if isinstance(taken, str):
                    raise UserError(f"{name}: {taken}")
                if number:
                    seconds[budget][name].append(taken)
    for connection in crew.values():
        connection.close()  # which ends its process
    return seconds, memory


def _serve(connection: Connection, name: str) -> None:
    """Decode what comes through the pipe, and answer with seconds and megabytes."""
    torch.set_num_threads(1)
    rest = _memory("VmRSS")
    while True:
        try:
            clips, seed = connection.recv()
        except EOFError:
            return
        random.seed(seed)
        start = time.process_time()  # a core's: what else runs here hardly matters
        try:
            for clip in clips:
                DECODERS[name](clip)
            taken: float | str = time.process_time() - start
        except Exception as error:
            taken = f"{type(error).__name__}: {error}"
        connection.send((taken, _memory("VmHWM") - rest))


def _memory(key: str) -> float:
    """Return the megabytes this process holds (VmRSS) or held at most (VmHWM)."""
    (line,) = (each for each in Path("/proc/self/status").open() if each.startswith(key))
    return int(line.split()[1]) / 1e3


def _clip(path: Path, rng: np.random.Generator, sampling: Any, frames: int, interval: int) -> Clip:
    """Choose a random clip of a video, and find out which packets it needs."""
    with open_video(path) as video:
        times, duration = video.times, video.duration
    options = {"frames": frames, "interval": interval, "seconds": None, "clips": 1}
    (wanted,) = sampling(times, rng=rng, **options)
    whole = sampling is clip_sampling.uniform
    seconds = duration if whole else frames * interval * duration / len(times)
    return Clip(str(path), wanted, min(seconds, duration), planned(path, wanted))


def write(folder: Path) -> list[Path]:
    """Write videos of a moving scene: a camera that pans over a picture, and two things in it."""
    paths = []
    for gap in GAPS:
        paths.append(folder / f"key_frame_every_{gap}.mp4")
        options = {"g": str(gap), "keyint_min": str(gap), "sc_threshold": "0", "crf": "23"}
        with av.open(str(paths[-1]), "w") as container:
            stream = container.add_stream("libx264", rate=RATE, options=options)
            (stream.height, stream.width), stream.pix_fmt = SHAPE, "yuv420p"
            for picture in scene(np.random.default_rng(gap)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return paths


def scene(rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames (H, W, 3) of a film."""
    height, width = SHAPE
    ground = np.zeros((2 * height, 2 * width, 3))
    for cell in (4, 16, 64):  # details of three sizes
        shape = (-(-2 * height // cell), -(-2 * width // cell), 3)
        blocks = rng.normal(0, 6 * cell**0.5, shape).repeat(cell, 0).repeat(cell, 1)
        ground += blocks[: 2 * height, : 2 * width]
    things = rng.integers(0, 255, (2, 60, 60, 3))
    for t in range(LENGTH):
        top, left = (int(0.5 * size * (1 + np.sin(t / 40 + size))) for size in SHAPE)
        picture = 128 + ground[top : top + height, left : left + width]
        for thing, pace in zip(things, (13, 22), strict=True):
            y, x = (int((size - 60) * (0.5 + 0.5 * np.sin(t / pace))) for size in SHAPE)
            picture[y : y + 60, x : x + 60] = thing
        noisy = picture + rng.normal(0, 3, (height, width, 1))
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def table(seconds: Seconds, memory: dict[str, float], count: int) -> str:
    """Return clips per second, how many times faster ours are, and memory, as Markdown."""
    rows = [
        ["clips per second of a core", *seconds, "memory"],
        ["---", *["--:"] * (len(seconds) + 1)],
    ]
    for name, peak in memory.items():
        cells = []
        for own in seconds.values():
            speed = statistics.median(count / each for each in own[name])
            ratio = statistics.median(
                theirs / mine for theirs, mine in zip(own[name], own["ours"], strict=True)
            )
            cells.append(f"{speed:.1f}" + (f" ({ratio:.2f} x)" if name != "ours" else ""))
        rows.append([name, *cells, f"{peak:.0f} MB"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def compare(given: Path | None = None) -> str:
    """Measure on the videos of a folder, or on written ones; return a table, and what it is of.

    Raises:
        UserError: there is no video in the folder, or a decoder failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        if given:
            found = sorted(file for file in given.rglob("*") if file.is_file())
            videos = [file for file in found if _readable(file)]
            if not videos:
                raise UserError(f"there is no video in {given}")
            videos = videos[:: -(-len(videos) // VIDEOS)]
        else:
            videos = write(Path(folder))
        rounds = -(-CLIPS // len(videos))
        seconds, memory = measure(videos, rounds)
    packages = [name for name in PACKAGES if find_spec(name)]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    what = f"{len(videos)} videos of {given}" if given else f"{len(videos)} written videos"
    about = f"{date.today()}, {what}, medians of {rounds} rounds; {versions}"
    return f"{table(seconds, memory, len(videos))}\n\n{about}"


def _readable(file: Path) -> bool:
    try:
        open_video(file).close()
    except DecodeError:
        return False
    return True
