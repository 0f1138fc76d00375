"""Open a file with FFmpeg, safely, and turn what it decodes into what a player shows.

A frame becomes RGB by the matrix and range its file states (BT.601, limited range, where it states
none, as in FFmpeg), and upright by the file's display matrix or the camera's orientation. Nothing
is done to transparency (dropped), interlaced fields (left woven) or pixels that are not square
(left as they are stored): datasets and the papers' loaders know nothing of these either.
"""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from datamodules.decoding.video import DecodeError, Picture
from datamodules.shards.member import MemberFile
from datamodules.shards.paths import ABSENT, packed_file

PIXELS = 2**26  # of a frame at most: twice 8K. A broken header may claim anything
# What FFmpeg makes of text, and lists that make it open other files
NO_VIDEOS = {"tty", "bin", "xbin", "adf", "idf", "hls", "dash", "concat", "sdp", "imf"}


@contextmanager
def errors_of(file: str) -> Iterator[None]:
    """Turn what goes wrong inside into a DecodeError that names the file.

    What the machine refuses stays what it is: a lack of memory, and an OSError that is not FFmpeg's
    (whose decoders return any number) and does not say that there is no such file.
    """
    try:
        yield
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        if isinstance(error, MemoryError) and _lacks_memory():
            raise
        if isinstance(error, OSError) and not isinstance(error, (av.FFmpegError, *ABSENT)):
            raise
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DecodeError(f"{file}: {' '.join(reason.split())}") from error


def _lacks_memory() -> bool:
    """Return whether there is no memory for the largest frame that is let in, as RGB.

    Where there is, and FFmpeg still says that there is none, a broken file asks for the impossible.
    """
    try:
        bytearray(3 * PIXELS)
    except MemoryError:
        return True
    return False


def open_file(file: str) -> InputContainer:
    """Open a file to read videos or pictures from.

    Raises:
        DecodeError: It is no regular file (a pipe would block for ever), or holds none.
        OSError: It is there, and cannot be opened.
    """
    with errors_of(file):
        options = {"max_pixels": str(PIXELS), "pattern_type": "none"}  # "%d" is no pattern
        container = av.open(_source(file), "r", metadata_errors="ignore", options=options)
    if container.format.name in NO_VIDEOS:
        container.close()
        raise DecodeError(f"{file}: it is text or a list of files, no video")
    return container


def _source(file: str) -> str | MemberFile:
    """Return what FFmpeg is to read: a file, or what was packed of it."""
    try:
        mode = os.stat(file).st_mode
    except ABSENT:
        if packed := packed_file(file):
            return packed
        raise
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise DecodeError(f"{file}: Is {kind}")
    os.close(os.open(file, os.O_RDONLY))  # says why not, as FFmpeg's own error would not
    return f"file:{file}"  # because "10:30.mp4" is no protocol


def video_stream(container: InputContainer, file: str) -> VideoStream:
    """Return the first stream that is a video, ready to be decoded by one thread.

    What is damaged is to be an error: made-up parts depend on what was decoded before.
    """
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            context = stream.codec_context
            if context is None:
                raise DecodeError(f"{file}: there is no decoder for its video")
            if context.width * context.height > PIXELS:
                raise DecodeError(f"{file}: it claims to be {context.width}x{context.height}")
            context.thread_count, context.thread_type = 1, "SLICE"
            context.options = {"max_pixels": str(PIXELS), "err_detect": "crccheck+explode"}
            return stream
    raise DecodeError(f"{file}: there is no video in it")


def picture(frame: VideoFrame, reformatter: VideoReformatter) -> Picture:
    """Return a decoded frame as RGB (H, W, C), upright."""
    try:
        rgb = reformatter.reformat(frame, format="rgb24", threads=1)
    except OSError as error:  # the matrices ICtCp and YCgCo, for two
        raise ValueError("its colours cannot be converted to RGB") from error
    return _upright(rgb.to_ndarray().astype(np.uint8, copy=False), frame)


def display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    """Return the file's or the camera's (a, b, _, c, d, ...), or that of doing nothing.

    It sends the pixel at (x, y) to (a x + c y, b x + d y), up to a shift and a factor.
    """
    try:
        data = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    except ValueError:  # there is more, of a kind that PyAV has no name for, such as Exif
        quarter = -frame.rotation // 90 % 4  # to the right; no camera mirrors, which this misses
        a, b = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
        return a, b, 0, -b, a, 0, 0, 0, 1
    return struct.unpack("=9i", data) if data is not None else (1, 0, 0, 0, 1, 0, 0, 0, 1)


def _upright(stored: Picture, frame: VideoFrame) -> Picture:
    """Turn and mirror by the display matrix, to the nearest quarter turn."""
    a, b, _, c, d, *_ = display_matrix(frame)
    if abs(b) > abs(a):
        stored, a, d = stored.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(stored[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
