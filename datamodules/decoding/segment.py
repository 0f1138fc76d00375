"""A part of a video as a video of its own: datasets of long videos label stretches of seconds."""

import numpy as np

from datamodules.decoding.video import DecodeError, Picture, RandomAccessVideo

HAIR = 1e-4  # seconds: a frame this close before a bound counts as on it, whatever its clock


class Segment(RandomAccessVideo):
    """The frames of a video that are shown from `start` up to before `end`, counted from 0.

    Args:
        video: The whole video; it is closed with this one, or if there is no such frame.
        start: Seconds after its first frame.
        end: Likewise.

    Raises:
        DecodeError: No frame is shown then.
    """

    def __init__(self, video: RandomAccessVideo, start: float, end: float) -> None:
        self.file, self._video = video.file, video
        self._first, stop = np.searchsorted(video.times, [start - HAIR, end - HAIR]).tolist()
        if self._first >= stop:
            length = video.duration
            video.close()
            raise DecodeError(
                f"{video.file}: no frame from {start:g} to {end:g} s, it ends at {length:g} s"
            )
        self.times = video.times[self._first : stop] - video.times[self._first]
        end = video.times[stop] if stop < len(video) else video.duration
        self._duration = float(end - video.times[self._first])

    def close(self) -> None:
        """Close the whole video."""
        self._video.close()

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return self._duration

    def _pictures(self, wanted: list[int]) -> list[Picture]:
        return self._video._pictures([self._first + number for number in wanted])
