"""Ways to decode the same clips, to be compared by their speed. Each uses one thread."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from pytorchvideo.data import LabeledVideoDataset, make_clip_sampler
from torch.utils.data import SequentialSampler

from datamodules.decoding.open import open_video

Pictures = NDArray[Any]  # (T, H, W, C)


@dataclass(frozen=True)
class Clip:
    """What is to be decoded of a video."""

    path: str
    wanted: NDArray[np.int64]  # numbers of its frames
    seconds: float  # length of a clip with as many frames, for those who count in seconds
    plan: tuple["Stretch", ...]  # which packets the frames need


@dataclass(frozen=True)
class Stretch:
    """Packets to decode, from a key frame on; in the units of the stream's timestamps."""

    key: int  # timestamp of the key frame
    packets: int  # how many
    wanted: frozenset[int]  # timestamps of the frames wanted of them


def planned(path: Path, wanted: NDArray[np.int64]) -> tuple[Stretch, ...]:
    """Return the packets that frames need: from the key frame before each to the frame itself."""
    with av.open(str(path)) as container:
        packets = [each for each in container.demux(video=0) if each.pts is not None]
    stamps = np.array([packet.pts for packet in packets])
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    needed: dict[int, list[int]] = {}  # key frame -> frames
    for number in np.argsort(stamps)[np.unique(wanted)].tolist():
        before = (key for key in keys if key <= number and stamps[key] <= stamps[number])
        needed.setdefault(max(before), []).append(number)
    return tuple(
        Stretch(int(stamps[key]), max(own) - key + 1, frozenset(stamps[own].tolist()))
        for key, own in sorted(needed.items())
    )


def ours(clip: Clip) -> Pictures:
    """Open, index and decode as training does."""
    with open_video(clip.path) as video:
        return video.frames(clip.wanted)


def pytorchvideo(clip: Clip) -> Pictures:
    """Iterate a LabeledVideoDataset: a random clip in seconds, of which frames are then taken."""
    found = LabeledVideoDataset(
        [(clip.path, {"label": 0})],
        make_clip_sampler("random", clip.seconds),
        SequentialSampler,
        partial(subsample, count=len(clip.wanted)),
        decode_audio=False,
    )
    return next(iter(found))["video"].permute(1, 2, 3, 0).numpy()


def subsample(sample: dict[str, Any], count: int) -> dict[str, Any]:
    """Take frames evenly, as its UniformTemporalSubsample does, which no longer imports."""
    video = sample["video"]
    indices = torch.linspace(0, video.shape[1] - 1, count).long()
    return {**sample, "video": video.index_select(1, indices)}


def everything(clip: Clip) -> Pictures:
    """Decode all frames with PyAV, then take those wanted."""
    with av.open(clip.path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = list(container.decode(video=0))
    scaler = VideoReformatter()
    return np.stack([_picture(frames[i], scaler) for i in clip.wanted.tolist()])


def torchcodec(clip: Clip) -> Pictures:
    """Ask torchcodec for the frames by their numbers."""
    decoders = import_module("torchcodec.decoders")  # it may not be installed
    decoder = decoders.VideoDecoder(clip.path, dimension_order="NHWC", num_ffmpeg_threads=1)
    return decoder.get_frames_at(clip.wanted.tolist()).data.numpy()


def bare(clip: Clip) -> Pictures:
    """Decode the packets that the frames need, knowing them beforehand; convert nothing else."""
    scaler, pictures = VideoReformatter(), {}
    with av.open(clip.path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for stretch in clip.plan:
            for frame in _decoded(container, stretch):
                if frame.pts in stretch.wanted:
                    pictures[frame.pts] = _picture(frame, scaler)
    return np.stack([pictures[stamp] for stamp in sorted(pictures)])


def _decoded(container: InputContainer, stretch: Stretch) -> Iterator[av.VideoFrame]:
    stream = container.streams.video[0]
    container.seek(stretch.key, stream=stream)
    for packet in islice(container.demux(stream), stretch.packets):
        needed = packet.pts in stretch.wanted
        stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        yield from stream.codec_context.decode(packet)
    yield from stream.codec_context.decode(None)
    stream.codec_context.flush_buffers()


def _picture(frame: av.VideoFrame, scaler: VideoReformatter) -> Pictures:
    return scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()


DECODERS: dict[str, Callable[[Clip], Pictures]] = {
    "ours": ours,
    "pytorchvideo's LabeledVideoDataset": pytorchvideo,
    "PyAV, everything": everything,
    "torchcodec": torchcodec,
    "PyAV, bare: only packets known to be needed": bare,
}
