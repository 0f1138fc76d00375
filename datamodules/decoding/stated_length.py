"""About how many frames a video has, as its header says: what can be known of it at once."""

from datamodules.decoding.ffmpeg import errors_of, open_file, video_stream
from datamodules.decoding.frame_folder import FrameFolder
from datamodules.shards.paths import is_folder

MICROSECONDS = 1e6  # FFmpeg's unit of a file's duration


def stated_length(path: str, segment: tuple[float, float] | None = None) -> int | None:
    """Return about how many frames a video has; None where its header does not say.

    Args:
        path: Of a file, or of a folder of pictures.
        segment: Start and end of the part that is meant, in seconds; None is all of it.

    Raises:
        DecodeError: It is broken, or not there.
        OSError: The machine does not deliver it.
    """
    if is_folder(path):
        folder = FrameFolder(path)
        count, rate = len(folder), len(folder) / folder.duration
    else:
        with open_file(path) as container, errors_of(path):
            stream = video_stream(container, path)
            rate = float(stream.average_rate or 0)
            count = stream.frames or round((container.duration or 0) / MICROSECONDS * rate)
    if segment is not None and rate:
        count = min(count, round((segment[1] - segment[0]) * rate)) if count else 0
    return count or None
