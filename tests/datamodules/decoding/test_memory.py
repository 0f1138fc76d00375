"""A process that decodes clip after clip holds no more memory for it."""

from pathlib import Path

import numpy as np
import pytest
from make_videos import write

from datamodules.decoding.open import open_video
from datamodules.decoding.video import DecodeError
from datamodules.preparation.workers import map_in_processes

CLIPS, WARM = 1000, 100  # a leak of one frame in ten clips would be over 20 MB
FRAMES, SHAPE = 40, (256, 340)


def decode(file: str) -> float:
    """Decode a clip of a video, or fail to; return the megabytes that this process then holds."""
    try:
        with open_video(file) as video:
            video.frames(np.arange(0, len(video), 5))
    except DecodeError:
        pass
    (line,) = (each for each in Path("/proc/self/status").open() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "damaged", "cut off"])
def test_memory_stays_flat_over_many_clips(tmp_path, kind):
    small = np.random.default_rng(0).integers(0, 255, (FRAMES, 8, 8, 3), np.uint8)
    pictures = [each.repeat(32, 0).repeat(43, 1)[:, : SHAPE[1]] for each in small]
    file = write(tmp_path / "a.mp4", pictures, "libx264", "yuv420p", g="20", preset="ultrafast")
    content = bytearray(file.read_bytes())
    if kind == "damaged":
        start, end = content.index(b"mdat") + 4, content.index(b"moov")
        content[(start + end) // 2 : end - 100] = bytes(end - 100 - (start + end) // 2)
    file.write_bytes(content[: len(content) // 2] if kind == "cut off" else content)
    held = [
        result
        for _, result, death in map_in_processes(
            decode, [str(file)] * CLIPS, workers=1, patience=60
        )
        if death is None and result is not None
    ]
    assert len(held) == CLIPS
    assert np.median(held[-WARM:]) < np.median(held[WARM : 2 * WARM]) + 12  # it wavers by a few
