"""Which frames a video has, told by its packets without decoding any.

Packets tell the frames only where each holds exactly one frame that is shown, where decoding can
start at every key frame, and where their timestamps are those of the frames. What speaks against
it is found here; such a video is decoded from its start and its frames are counted.
"""

from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

KEPT = 2**28  # bytes kept of a video's packets or frames; what is larger is read twice
# Decoders that start at a key frame as they would go on there; others are not asked to
STARTING = {
    *("h264", "hevc", "libdav1d", "vp9", "mpeg4", "mpeg2video", "mpeg1video"),
    *("mjpeg", "png", "prores", "rawvideo"),
}
Packets: TypeAlias = "Iterable[Packet[VideoStream]]"


@dataclass(frozen=True)
class Index:
    """The packets of a video, by number in the order in which they are decoded.

    Attributes:
        stamps: Their timestamps, where they have any.
        packets: They themselves, unless they are too large to keep.
        keys: Numbers of those that hold key frames.
        trusted: Whether they tell the frames. If not, what follows is empty.
        pts: The timestamps, int64.
        order: Numbers of those that are shown, in the order in which they are.
    """

    stamps: list[int | None]
    packets: "list[Packet[VideoStream]] | None"
    keys: list[int]
    trusted: bool
    pts: NDArray[np.int64]
    order: NDArray[np.int64]

    def key(self, packet: int, early: int = 0) -> int:
        """Return the packet from which decoding has to start to get the frame of `packet`.

        Or the key frame `early` before that.

        A frame that follows a key frame in the file but is shown before it (an open group of
        pictures) refers to frames before the key frame: it needs the key frame before that.
        """
        place = bisect(self.keys, packet) - 1
        while place and self.pts[self.keys[place]] > self.pts[packet]:
            place -= 1
        return self.keys[max(0, place - early)]

    def needed(self, packet: int) -> set[int]:
        """Return what the frame of `packet` may refer to, and itself.

        It never refers to frames that follow its key frame but are shown before that.
        """
        key = self.key(packet)
        stamps = self.pts[key : packet + 1]
        return set((key + np.flatnonzero(stamps >= self.pts[key])).tolist())

    def without(self, keys: set[int]) -> "Index":
        """Return the index with packets that hold no key frames after all."""
        return replace(self, keys=[key for key in self.keys if key not in keys])

    def stretches(self, packets: Iterable[int], early: int = 0) -> list[tuple[int, int]]:
        """Return what to decode, each from packet to before packet, to get frames of `packets`."""
        stretches: list[tuple[int, int]] = []
        for packet in sorted(packets):
            start = self.key(packet, early)
            while stretches and start < stretches[-1][1]:
                start = min(start, stretches.pop()[0])
            stretches.append((start, packet + 1))
        return stretches


def read_index(packets: Packets, stream: VideoStream, *, explicit: bool) -> Index:
    """Read all packets of a stream.

    Args:
        packets: In the order in which they are decoded.
        stream: What they are of.
        explicit: Whether the container states when a frame is shown even if it is shown at once.
    """
    kept: list[Packet[VideoStream]] = []
    stamps: list[int | None] = []
    keys, shown = list[int](), list[int]()
    size, clean = 0, True
    codec = stream.codec_context.name
    for number, packet in enumerate(packets):
        if packet.is_keyframe:
            keys.append(number)
        if not packet.is_discard:  # an edit list drops these after decoding
            shown.append(number)
        clean &= not (packet.is_corrupt or _misleads(codec, packet, number))
        stamps.append(packet.pts)
        size += packet.size
        if size <= KEPT:
            kept.append(packet)
    whole = kept if size <= KEPT else None
    known = [stamp for stamp in stamps if stamp is not None]
    trusted = (
        clean
        and codec in STARTING
        and keys[:1] == [0]
        and len(set(known)) == len(stamps)
        and known[0] == min(known)  # else frames may refer to what is not there
        and stream.codec_context.field_order <= 1  # fields may come in packets of their own
        and _in_order(known, stream.codec_context.reorder_depth, explicit)
    )
    if not trusted:
        none = np.zeros(0, np.int64)
        return Index(stamps, whole, keys, False, none, none)
    pts = np.array(known, np.int64)
    order = np.array(shown, np.int64)[np.argsort(pts[shown])]
    return Index(stamps, whole, keys, True, pts, order)


def _misleads(codec: str, packet: "Packet[VideoStream]", number: int) -> bool:
    """Return whether a packet holds no frame that is shown, or changes how the next are decoded."""
    if number and (packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change")):
        return True
    if codec == "mpeg4":
        return packet.size < 16  # "as before": in AVI, whose frames have a steady rate
    if codec == "vp9":
        data = memoryview(packet)
        several = data[-1] & 0xE0 == 0xC0  # of which the last is shown
        return not (several or data[0] & 0x0A)  # show_existing_frame, show_frame
    return False


def _in_order(stamps: list[int], depth: int, explicit: bool) -> bool:
    """Return whether a decoder that holds back `depth` frames gives them in order of timestamps.

    Where it holds back frames though none has to wait, timestamps may be those of decoding.
    """
    held, most = list[int](), 0
    for stamp in stamps:
        place = bisect(held, stamp)
        most = max(most, len(held) - place)
        held.insert(place, stamp)
    return most <= depth and (most > 0 or depth == 0 or explicit)


def seconds(stamps: list[int | None], stream: VideoStream) -> NDArray[np.float64]:
    """Turn frames' timestamps into seconds after the first; count where they make no sense."""
    known = np.array([stamp for stamp in stamps if stamp is not None], np.int64)
    if stream.time_base is None or len(known) < len(stamps) or (np.diff(known) <= 0).any():
        return np.arange(len(stamps), dtype=np.float64) / frame_rate(stream)
    return (known - known[:1]).astype(np.float64) * float(stream.time_base)


def frame_rate(stream: VideoStream) -> float:
    """Return the frames per second that the file states, or 25."""
    rate = float(stream.average_rate or 0)
    return rate if 0 < rate < 1e5 else 25.0


def ffmpeg_version() -> str:
    """Return the versions of what decodes."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"pyav {av.__version__} (libavcodec {codec})"
