"""Decode the frames that are wanted, and no others.

A video is first read without decoding: the packets' timestamps say which frames there are and in
which order they are shown. To get a frame, decoding starts at the last key frame before it, and
what comes out is told apart by timestamps, never by counting. Where packets do not tell the frames
(missing or doubled timestamps, no key frame at the start, codecs with hidden frames), everything is
decoded and counted. Either way frame i is frame i of a full decode, bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import torch
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import ArrayLike, NDArray
from pytorchvideo.data.video import Video

HIDDEN = {"vp8"}  # decoders whose packets may hold a frame that is never shown
SKIPPING = {"h264", "hevc"}  # decoders that can be told to skip one frame and not the next
KEPT = 2**28  # bytes of packets kept for decoding; a longer file is read a second time

Picture = NDArray[np.uint8]  # (H, W, C)


class DecodeError(Exception):
    """A video cannot be read; the message names the file and the reason."""


class IndexedVideo(Video):  # type: ignore[misc]  # pytorchvideo has no types
    """A video file whose frames are taken by number, or by seconds as pytorchvideo does.

    Args:
        file: Path of the video.
        threads: Threads that decode. One, where loader workers are parallel already.

    Attributes:
        times: When each frame is shown, in seconds after the first.

    Raises:
        DecodeError: The file is missing, cut off, holds no video, or makes no sense.
    """

    def __init__(self, file: str | Path, *, threads: int = 1) -> None:
        self.file = str(file)
        self._threads = threads
        self._reformatter = VideoReformatter()
        self._packets: list[Packet[VideoStream]] | None = None
        with self._errors():
            self._container = av.open(self.file, metadata_errors="ignore")
        try:
            with self._errors():
                self._stream = self._find_stream()
                self._stream.codec_context.thread_count = threads
                self._stream.codec_context.thread_type = "AUTO" if threads > 1 else "SLICE"
                self._index()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "IndexedVideo":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and drop what was read of it; closing twice does nothing."""
        self._packets = None
        self._container.close()

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        rate = float(self._stream.average_rate or 25)
        last = float(np.median(np.diff(self.times))) if len(self) > 1 else 1 / rate
        return float(self.times[-1]) + last

    def get_clip(self, start_sec: float, end_sec: float) -> dict[str, torch.Tensor | None]:
        """Return the frames shown from `start_sec` up to before `end_sec`, as pytorchvideo does.

        Returns:
            "video": float32 (C, T, H, W), 0 to 255, or None if no frame lies there; "audio": None.
        """
        numbers = np.flatnonzero((self.times >= start_sec) & (self.times < end_sec))
        if not len(numbers):
            return {"video": None, "audio": None}
        video = torch.from_numpy(self.frames(numbers)).permute(3, 0, 1, 2)
        return {"video": video.to(torch.float32), "audio": None}

    def frames(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Return the frames at `indices`, in any order and as often as asked, RGB (T, H, W, C).

        Raises:
            IndexError: There is no such frame.
            DecodeError: A frame that is wanted cannot be decoded.
        """
        wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
        if not len(wanted) or wanted[0] < 0 or wanted[-1] >= len(self):
            raise IndexError(f"{self.file} has frames 0 to {len(self) - 1}, not {indices!r}")
        with self._errors():
            found = self._sought(wanted) if self._seekable else self._counted(wanted)
            if missing := sorted(set(wanted.tolist()) - found.keys()):
                raise self._error(f"frame {missing[0]} of {len(self)} cannot be decoded")
            return np.stack([found[i] for i in wanted.tolist()])[places]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what goes wrong inside into a DecodeError that names the file."""
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._error(getattr(error, "strerror", None) or str(error)) from error

    def _error(self, reason: str) -> DecodeError:
        return DecodeError(f"{self.file}: {reason}")

    def _find_stream(self) -> VideoStream:
        for number, stream in enumerate(self._container.streams.video):
            if not stream.disposition & Disposition.attached_pic:  # the cover of a song
                self._number = number
                return stream
        raise self._error("there is no video in it")

    def _demux(self, container: InputContainer) -> Iterator["Packet[VideoStream]"]:
        """Yield the packets of the video in the order in which they are decoded."""
        for packet in container.demux(video=self._number):
            if packet.size:  # the last one is a dummy
                yield packet

    def _index(self) -> None:
        """Read all packets and find out which frames there are."""
        kept, size, whole = [], 0, True
        pts: list[int | None] = []  # of every packet
        keys, shown = [], []  # numbers of packets
        for packet in self._demux(self._container):
            if packet.is_keyframe:
                keys.append(len(pts))
            if not packet.is_discard:  # an edit list drops these after decoding
                shown.append(len(pts))
            whole &= not packet.is_corrupt
            pts.append(packet.pts)
            size += packet.size
            if size <= KEPT:
                kept.append(packet)
        listed = len(self._stream.index_entries)
        if "mp4" in self._container.format.name and len(pts) < listed:
            raise self._error(f"it is cut off after {len(pts)} of {listed} frames")
        self._count = len(pts)
        self._packets = kept if size <= KEPT else None
        known = [stamp for stamp in pts if stamp is not None]
        self._seekable = (
            whole
            and keys[:1] == [0]
            and len(set(known)) == len(pts)
            and known[0] == min(known)  # else frames may refer to what is not there
            and self._stream.codec_context.name not in HIDDEN
        )
        if self._seekable:
            self._pts, self._keys = np.array(known, np.int64), np.array(keys)
            self._order = np.array(shown, np.int64)[np.argsort(self._pts[shown])]
            self.times = self._seconds(self._pts[self._order].tolist())
        else:
            self.times = self._seconds([frame.pts for frame in self._decode(0, self._count)])
        if not len(self.times):
            raise self._error("there is no frame in it")

    def _seconds(self, stamps: list[int | None]) -> NDArray[np.float64]:
        """Turn the frames' timestamps into seconds; count where they make no sense."""
        base, rate = self._stream.time_base, self._stream.average_rate
        known = np.array([stamp for stamp in stamps if stamp is not None], np.int64)
        if base is None or len(known) < len(stamps) or (np.diff(known) <= 0).any():
            return np.arange(len(stamps), dtype=np.float64) / float(rate or 25)
        return (known - known[:1]).astype(np.float64) * float(base)

    def _decode(
        self, start: int, stop: int, wanted: frozenset[int] | None = None
    ) -> Iterator[VideoFrame]:
        """Decode packets `start` to before `stop`, and yield the frames that come of them.

        Given the numbers of the `wanted` packets, others that no frame refers to are skipped.
        """
        context = self._stream.codec_context
        context.flush_buffers()  # forget where decoding was
        for number, packet in enumerate(self._read(start, stop), start):
            if context.name in SKIPPING:
                needed = wanted is None or number in wanted
                context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield from context.decode(packet)
        yield from context.decode(None)

    def _read(self, start: int, stop: int) -> Iterator["Packet[VideoStream]"]:
        if self._packets is not None:
            yield from self._packets[start:stop]
        else:
            with av.open(self.file, metadata_errors="ignore") as container:
                yield from islice(self._demux(container), start, stop)

    def _picture(self, frame: VideoFrame) -> Picture:
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=self._threads)
        return rgb.to_ndarray().astype(np.uint8, copy=False)

    def _counted(self, wanted: NDArray[np.int64]) -> dict[int, Picture]:
        """Decode from the start, and count."""
        numbers = set(wanted.tolist())
        frames = islice(self._decode(0, self._count), int(wanted[-1]) + 1)
        return {i: self._picture(frame) for i, frame in enumerate(frames) if i in numbers}

    def _sought(self, wanted: NDArray[np.int64]) -> dict[int, Picture]:
        """Decode from key frames to wanted frames, and tell frames by their timestamps."""
        packets = self._order[wanted]
        numbers = dict(zip(self._pts[packets].tolist(), wanted.tolist(), strict=True))
        found: dict[int, Picture] = {}
        try:
            for start, stop in self._stretches(packets):
                for frame in self._decode(start, stop, frozenset(packets.tolist())):
                    if start and frame.pts == self._pts[start] and not frame.key_frame:
                        raise av.InvalidDataError(0, "it is no key frame")
                    if frame.pts in numbers:
                        found[numbers[frame.pts]] = self._picture(frame)
        except av.FFmpegError:
            found.clear()
        if len(found) < len(wanted):  # a key frame was none, or a frame is broken: start over
            for frame in self._decode(0, int(packets.max()) + 1):
                if frame.pts in numbers:
                    found[numbers[frame.pts]] = self._picture(frame)
        return found

    def _stretches(self, packets: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Return which packets to decode, each (start, stop), to get the frames of `packets`.

        A frame that follows a key frame in the file but is shown before it (an open group of
        pictures) refers to frames before the key frame: it needs the key frame before that.
        """
        stretches: list[tuple[int, int]] = []
        for packet in np.sort(packets).tolist():
            number = int(np.searchsorted(self._keys, packet, side="right")) - 1
            while number and self._pts[self._keys[number]] > self._pts[packet]:
                number -= 1
            start = int(self._keys[number])
            while stretches and start < stretches[-1][1]:
                start = min(start, stretches.pop()[0])
            stretches.append((start, packet + 1))
        return stretches
