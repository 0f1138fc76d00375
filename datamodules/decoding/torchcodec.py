"""The optional second decoder, torchcodec: for cross-checks, and where it is faster.

PyAV reads the packets and says which frames there are; torchcodec decodes them. Pixels are the same
bits where both libraries' FFmpeg convert colours alike: 8-bit video. Of more than 8 bits, and of
interlaced video, FFmpeg before 8 interpolates colour differently (PyAV carries its own FFmpeg,
torchcodec takes the system's). A file that torchcodec would show otherwise is an error.
It does not tell damaged frames: it passes on what FFmpeg makes up for them.

Its GPU decoding is left out. Frames are asked for in loader workers, where CUDA needs a context of
half a gigabyte in each, they would come back to memory to be augmented, and they differ from the
CPU's by rounding: runs on unlike machines would not see the same pictures.
"""

import os
from importlib import import_module
from importlib.metadata import version as release
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.video import DecodeError, Picture, RandomAccessVideo
from datamodules.errors import UserError
from datamodules.shards.paths import packed_file

NEAR = 1e-3  # seconds by which the two may round a time differently


class TorchcodecVideo(RandomAccessVideo):
    """A video file that torchcodec decodes, with one thread.

    Args:
        file: Path of the video.

    Raises:
        DecodeError: The file is missing or broken, or torchcodec would show it otherwise.
        UserError: torchcodec is not installed, or finds no FFmpeg.
    """

    def __init__(self, file: str | Path) -> None:
        torchcodec = _import()
        self.file = str(file)
        with IndexedVideo(file) as indexed:
            self.times, self._duration = indexed.times, indexed.duration
            try:
                there = os.path.exists(self.file)
                self._decoder = torchcodec.decoders.VideoDecoder(
                    self.file if there else packed_file(self.file) or self.file,
                    stream_index=indexed.stream,
                    dimension_order="NHWC",
                    device="cpu",
                )
            except (RuntimeError, ValueError) as error:
                raise self._error(error) from error
            metadata = self._decoder.metadata
            if metadata.rotation is not None and indexed.mirrored:
                raise self._error("it leaves out that this file is to be mirrored")
        if metadata.num_frames != len(self):
            raise self._error(f"it counts {metadata.num_frames} frames, not {len(self)}")
        self._start = metadata.begin_stream_seconds

    def close(self) -> None:
        """Let go of the file; closing twice does nothing."""
        self._decoder = None

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return self._duration

    def _pictures(self, wanted: list[int]) -> list[Picture]:
        try:
            batch = self._decoder.get_frames_at(wanted)
        except (RuntimeError, ValueError) as error:
            raise self._error(error) from error
        times = batch.pts_seconds.numpy() - self._start
        if (wrong := np.abs(times - self.times[wanted]) > NEAR).any():
            raise self._error(f"it shows frame {wanted[int(wrong.argmax())]} at another time")
        return list(batch.data.numpy())

    def _error(self, reason: object) -> DecodeError:
        line = str(reason).split(", ", 2)[-1].splitlines()[0]  # after the place in its source
        return DecodeError(f"{self.file}: torchcodec cannot: {line} (decoder=pyav may)")


def torchcodec_version() -> str:
    """Return the versions of what decodes."""
    torchcodec = _import()
    return f"torchcodec {release('torchcodec')} (FFmpeg {torchcodec.ffmpeg_major_version})"


def _import() -> Any:
    """Return the library."""
    try:
        torchcodec: Any = import_module("torchcodec")
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            "decoder=torchcodec needs torchcodec: pip install -c constraints.txt '.[torchcodec]'"
        ) from error
    if torchcodec.ffmpeg_major_version is None:
        raise UserError("decoder=torchcodec needs FFmpeg's shared libraries: install ffmpeg")
    return torchcodec
