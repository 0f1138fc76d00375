"""From a file to frames: exactly those that are asked for."""

from datamodules.decoding.open import open_video
from datamodules.decoding.video import DecodeError, RandomAccessVideo

__all__ = ["DecodeError", "RandomAccessVideo", "open_video"]
