"""Open a video, whatever it is: a file, or a folder of pictures, one per frame."""

from pathlib import Path

from datamodules.decoding.frame_folder import FrameFolder
from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.packet_index import ffmpeg_version
from datamodules.decoding.video import RandomAccessVideo
from datamodules.errors import UserError
from datamodules.shards.paths import is_folder


def open_video(path: str | Path, decoder: str = "pyav") -> RandomAccessVideo:
    """Return the video at `path`.

    Args:
        path: A file, or a folder of numbered pictures.
        decoder: What decodes files: "pyav", or "torchcodec" (`torchcodec.py` says what differs).

    Raises:
        DecodeError: It cannot be read.
        UserError: There is no such decoder, or it is not installed.
    """
    if is_folder(path):
        return FrameFolder(path)
    if decoder == "torchcodec":
        from datamodules.decoding.torchcodec import TorchcodecVideo  # seldom there, slow to import

        return TorchcodecVideo(path)
    _check(decoder)
    return IndexedVideo(path)


def version(decoder: str) -> str:
    """Return what decodes, for a run's record: "pyav 18.1.0 (libavcodec 62.28.102)"."""
    if decoder == "torchcodec":
        from datamodules.decoding.torchcodec import torchcodec_version

        return torchcodec_version()
    _check(decoder)
    return ffmpeg_version()


def _check(decoder: str) -> None:
    if decoder != "pyav":
        raise UserError(f"no decoder {decoder!r}: pyav or torchcodec")
