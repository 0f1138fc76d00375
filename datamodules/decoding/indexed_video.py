"""Decode the frames that are wanted, and no others.

A video is first read without decoding: its packets say which frames there are (`index.py`). To get
a frame, decoding starts at the last key frame before it, and what comes out is told apart by
timestamps, never by counting. Where packets do not tell the frames, everything is decoded and
counted. Either way frame i is frame i of a full decode, bit for bit, or an error.

A packet that cannot be decoded, or only with parts made up, damages its frame and those after it up
to the next key frame, which may refer to it. They are errors when asked for; others are not. What
FFmpeg does not notice (HEVC and VP8 rarely tell) shows, as in any player.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from datamodules.decoding import packet_index as _index
from datamodules.decoding.ffmpeg import display_matrix, errors_of, open_file, picture, video_stream
from datamodules.decoding.video import DecodeError, Picture, RandomAccessVideo

SKIPPING = {"h264", "hevc"}  # decoders that can be told to skip one frame and not the next
DELAY = 17  # packets after which a frame has come out, at most
Coded = Iterator["Packet[VideoStream]"]
Frames = Sequence[VideoFrame | None]


class IndexedVideo(RandomAccessVideo):
    """A video file. One thread decodes it: loader workers are parallel already.

    Args:
        file: Path of the video.

    Raises:
        DecodeError: The file is missing, cut off, holds no video, or makes no sense.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = str(file)
        self._reformatter = VideoReformatter()
        self._packets: list[Packet[VideoStream]] | None = None
        self._all: list[tuple[VideoFrame, bool]] | None = None
        self._container = open_file(self.file)
        try:
            with errors_of(self.file):
                self._stream = video_stream(self._container, self.file)
                self._read_index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and drop what was read of it; closing twice does nothing."""
        self._packets, self._all = None, None
        self._container.close()

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        many = len(self) > 1
        last = np.median(np.diff(self.times)) if many else 1 / _index.frame_rate(self._stream)
        return float(self.times[-1] + last)

    @property
    def stream(self) -> int:
        """Number of the video among the streams of the file."""
        return self._stream.index

    @property
    def mirrored(self) -> bool:
        """Whether the file asks for being shown mirrored. Decodes a frame to find out."""
        for _, frame in self._decode(0, len(self._index.stamps)):
            if frame is not None:
                a, b, _, c, d, *_ = display_matrix(frame)
                return a * d - b * c < 0
        return False

    def _read_index(self) -> None:
        mp4 = "mp4" in self._container.format.name
        packets = _demux(self._container, self._stream.index)
        self._index = _index.read_index(packets, self._stream, explicit=mp4)
        self._packets = self._index.packets
        count, listed = len(self._index.stamps), len(self._stream.index_entries)
        if mp4 and count < listed:
            raise DecodeError(f"{self.file}: it is cut off after {count} of {listed} frames")
        if self._index.trusted:
            stamps = self._index.pts[self._index.order].tolist()
        else:
            stamps = self._count()
        if not stamps:
            raise DecodeError(f"{self.file}: there is no frame in it")
        self.times = _index.seconds(stamps, self._stream)

    def _pictures(self, wanted: list[int]) -> list[Picture]:
        with errors_of(self.file):
            found = self._sought(wanted) if self._index.trusted else self._counted(wanted)
            for number in wanted:
                if number not in found:
                    raise DecodeError(f"{self.file}: frame {number} of {len(self)} is damaged")
            return [found[number] for number in wanted]

    def _decode(
        self, start: int, stop: int, wanted: frozenset[int] | None = None
    ) -> Iterator[tuple[int, VideoFrame | None]]:
        """Decode packets `start` to before `stop`.

        Given the numbers of the `wanted` packets, others that no frame refers to are skipped.

        Yields:
            A packet's number and a frame that came out after it; None if it cannot be decoded.
        """
        context = self._stream.codec_context
        context.flush_buffers()  # forget where decoding was
        number = start
        for number, packet in enumerate(self._read(start, stop), start):
            if context.name in SKIPPING:
                needed = wanted is None or number in wanted or number == start
                context.skip_frame = "DEFAULT" if needed else "NONREF"
            for frame in _outcome(context, packet):
                yield number, frame
        for frame in _outcome(context, None):
            yield number, frame

    def _read(self, start: int, stop: int) -> Coded:
        if self._packets is not None:
            yield from self._packets[start:stop]
        else:
            with open_file(self.file) as container:
                yield from islice(_demux(container, self._stream.index), start, stop)

    def _count(self) -> list[int | None]:
        """Decode everything, keep it unless it is large, and return the frames' timestamps."""
        stamps, kept, size = [], [], 0
        for frame, damaged in self._judged():
            stamps.append(frame.pts)
            size += 3 * frame.width * frame.height
            if size <= _index.KEPT:
                kept.append((frame, damaged))
        self._all = kept if size <= _index.KEPT else None
        return stamps

    def _judged(self) -> Iterator[tuple[VideoFrame, bool]]:
        """Decode from the start; yield frames, each with whether it is damaged."""
        stamps = self._index.stamps
        packets = {stamp: number for number, stamp in enumerate(stamps)}
        last = -1  # damaged packet
        damaged = min(self._index.keys, default=0) > 0  # until one comes, references are missing
        for number, frame in self._decode(0, len(stamps)):
            if frame is None:
                last, damaged = number, True
                continue
            packet = packets.get(frame.pts, number - DELAY)
            sound = frame.key_frame and packet > last
            damaged = frame.is_corrupt or (damaged and not sound)
            yield frame, damaged

    def _counted(self, wanted: list[int]) -> dict[int, Picture]:
        """Take frames by counting them from the start."""
        numbers = set(wanted)
        frames = islice(self._judged() if self._all is None else self._all, wanted[-1] + 1)
        return {
            number: picture(frame, self._reformatter)
            for number, (frame, damaged) in enumerate(frames)
            if number in numbers and not damaged
        }

    def _sought(self, wanted: list[int]) -> dict[int, Picture]:
        """Decode from key frames to wanted frames, and tell frames by their timestamps.

        A decoder may miss what was there before a key frame though no frame refers to it. What it
        says is damaged is tried again from one key frame earlier, and then from the start.
        """
        numbers = dict(zip(self._index.order[wanted].tolist(), wanted, strict=True))
        sound: dict[int, Picture] = {}  # by packet
        for early in (0, 1, len(self._index.keys)):
            if missing := frozenset(numbers) - sound.keys():
                found, bad = self._tried(missing, early)
                for packet in found:
                    if not bad or bad.isdisjoint(self._index.needed(packet)):
                        sound[packet] = found[packet]
        return {numbers[packet]: sound[packet] for packet in sound}

    def _tried(self, wanted: frozenset[int], early: int) -> tuple[dict[int, Picture], set[int]]:
        """Return pictures of wanted packets, and which packets are damaged."""
        found: dict[int, Picture] = {}
        bad: set[int] = set()
        while missing := wanted - found.keys() - bad:
            false: set[int] = set()  # key frames that are none: try again from one before
            for start, stop in self._index.stretches(missing, early):
                false |= self._stretch(start, stop, missing, found, bad, skip=not early)
            if not false:
                break
            self._index = self._index.without(false)
        return found, bad

    def _stretch(
        self,
        start: int,
        stop: int,
        wanted: frozenset[int],
        found: dict[int, Picture],
        bad: set[int],
        skip: bool,
    ) -> set[int]:
        """Decode packets `start` to before `stop`.

        Adds pictures of `wanted` packets to `found`, and damaged packets to `bad`.

        Returns:
            Packets at which decoding cannot start, though they say so.
        """
        packets = {int(self._index.pts[p]): p for p in range(start, stop)}
        keys = frozenset(self._index.keys)
        false, begun = set[int](), start == 0 or start not in self._index.order
        for number, frame in self._decode(start, stop, wanted if skip else None):
            stamp = None if frame is None else frame.pts
            packet = number if stamp is None else packets.get(stamp, number)
            begun |= packet == start
            if frame is None or frame.is_corrupt:
                bad.add(packet)
            elif packet and packet in keys and not frame.key_frame:
                false.add(packet)
                if packet == start:
                    break
            elif packet in wanted:
                found[packet] = picture(frame, self._reformatter)
        return false if begun else false | {start}


def _demux(container: InputContainer, number: int) -> Coded:
    """Yield the packets of a stream in the order in which they are decoded."""
    for packet in container.demux(cast(VideoStream, container.streams[number])):
        if packet.size:  # the last one is a dummy
            yield packet


def _outcome(context: VideoCodecContext, packet: "Packet[VideoStream] | None") -> Frames:
    """Return the frames that come out of the decoder, or None in their place."""
    try:
        return context.decode(packet)
    except av.MemoryError:  # says nothing of the packet
        raise
    except av.FFmpegError:
        return [None]
