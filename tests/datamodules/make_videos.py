"""Write videos that carry their own answers."""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

SHAPE = 48, 64


def write(
    path: Path,
    pictures: Sequence[NDArray[np.uint8]],
    codec: str = "libx264rgb",
    pixels: str = "rgb24",
    **options: str,
) -> Path:
    """Write RGB pictures at 25 frames per second; by default without any loss."""
    height, width = pictures[0].shape[:2]
    with _usual_priority(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        if codec.startswith("libx26"):
            stream.codec_context.thread_count = 1  # or the result depends on the machine
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@contextmanager
def _usual_priority() -> Iterator[None]:
    """Take back the real-time priority that SVT-AV1, run by root, gives the thread that encodes.

    Whoever has it, and all it starts, starves the rest of the machine.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def greys(length: int) -> list[NDArray[np.uint8]]:
    """Return pictures that name themselves: picture i is grey level i all over."""
    return [np.full((*SHAPE, 3), i, np.uint8) for i in range(length)]


def scene(length: int = 40) -> list[NDArray[np.uint8]]:
    """Return pictures of drifting waves and noise, so that every frame is its own."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[: SHAPE[0], : SHAPE[1]]
    pictures = []
    for i in range(length):
        waves = 128 + 90 * np.sin((x + 3 * i) / 7) * np.cos((y - 2 * i) / 9)
        noisy = waves[..., None] + rng.normal(0, 4, (*SHAPE, 3))
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return pictures


def decode_all(path: Path) -> NDArray[np.uint8]:
    """Return all frames as PyAV by itself gives them, (T, H, W, C)."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write the display matrix (a, b, c, d) of whole numbers into an MP4 file."""
    a, b, c, d = (number << 16 for number in matrix)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def remux(source: Path, target: Path, change: Callable[[int, Packet], Packet | None]) -> Path:
    """Write a video's packets into another file, as `change` (number, packet) returns them."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(whole.streams.video[0])
        packets = [packet for packet in whole.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            if changed := change(number, packet):
                changed.stream = stream
                container.mux(changed)
    return target
