"""Which frames of a video make a clip: pure functions, numbers in, numbers out.

A sampling takes `times`, when each frame of the video is shown in seconds after the first, and
answers with frame numbers (V, T): T frames of each of V clips. With random numbers it is the
training variant, without the test variant. The numbers are in range, however short the video is.

`uniform` and `dense` are this suite's. The others are those of papers and libraries, each to the
frame; their training and their testing belong together. `interval` has no meaning where frames are
spread over the whole video, `seconds` only where clips are counted in seconds.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from pytorchvideo.data import clip_sampling

from datamodules.errors import UserError

Frames = NDArray[np.int64]  # (V, T)
Times = NDArray[np.float64]  # of all frames of the video
Random = np.random.Generator | None

EPSILON = 1e-6  # seconds; a frame's time and the time of a clip are rounded differently


def uniform(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """Cut the video into T equal segments and take a frame of each (TSN, arXiv:1608.00859).

    In training a random frame. In testing the one at (v + 1) / (V + 1) of the segment: with a
    single clip the middle. Halfway between two frames it is the one nearer to the middle of the
    video, so that a video played backwards gives the same frames. Segments shorter than a frame
    repeat frames.
    """
    length = len(times)
    if rng is not None:
        within = rng.random((clips, frames))
        return np.minimum((np.arange(frames) + within) * length / frames, length - 1).astype(int)
    part = np.arange(1, clips + 1)[:, None] + np.arange(frames) * (clips + 1)
    place = part * length / (frames * (clips + 1)) - 0.5  # exact where it is halfway
    early = place <= (length - 1) / 2
    numbers = np.where(early, np.floor(place + 0.5), np.ceil(place - 0.5))
    return np.clip(numbers, 0, length - 1).astype(np.int64)


def dense(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """Take every `interval`-th frame from some start on.

    In training the start is random. In testing clips start evenly from the first possible start to
    the last; a single clip lies in the middle. Past the end the last frame is repeated.
    """
    length = len(times)
    room = max(0, length - 1 - (frames - 1) * interval)  # the last start without repetition
    if rng is not None:
        starts = rng.integers(room + 1, size=clips)
    elif clips == 1:
        starts = np.array([room // 2])
    else:
        starts = np.floor(np.arange(clips) * room / (clips - 1) + 0.5).astype(np.int64)
    return np.minimum(_run(starts, frames, interval), length - 1)


def st_adapter_dense(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """As `dense`, but for the ends (linziyi96/st-adapter, video_dataset/dataset.py).

    In training a clip that does not fit starts at 0 and repeats the last of its own frames that
    the video has; in testing the video's last frame. Starts are rounded half to even.
    """
    length = len(times)
    room = max(0, length - 1 - (frames - 1) * interval)
    if rng is None:
        return np.minimum(_run(_spread(room, clips), frames, interval), length - 1)
    numbers = _run(rng.integers(room + 1, size=clips), frames, interval)
    return np.minimum(numbers, length - 1 if room else (length - 1) // interval * interval)


def st_adapter_uniform(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """A frame of each of T segments that share their ends (the same file as `st_adapter_dense`).

    Segment i lies from round(i s) to round((i + 1) s), both included, s = (length - 1) / T, rounded
    half to even. In training a random frame, in testing the middle one, rounded down: there is one
    test clip.

    Raises:
        UserError: more test clips are asked for.
    """
    starts, ends = _segments(times, frames)
    if rng is not None:
        return rng.integers(starts, ends + 1, size=(clips, frames))
    if clips > 1:
        raise UserError(f"test.clips is {clips}, but this paper's uniform sampling has 1 test clip")
    return (starts + ends)[None] // 2


def aim_dense(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """Clips of T x interval frames (taoyang1122/adapt-image-models, pipelines/loading.py).

    That is mmaction2 0.x's SampleFrames. Every start is possible from which T x interval frames
    are left. In training it is random; in testing clips start at the centres of V equal stretches
    of the starts. In a shorter video clips start at 0; past the end they go on from frame 0.
    """
    length = len(times)
    possible = length - frames * interval + 1
    if rng is not None:
        starts = rng.integers(max(1, possible), size=clips)
    else:
        centres = np.arange(clips) * (possible / clips) + possible / clips / 2
        starts = np.maximum(centres, 0).astype(np.int64)
    return _run(starts, frames, interval) % length


def aim_uniform(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """The frames of `st_adapter_uniform`, which AIM takes as well (the file of `aim_dense`)."""
    return st_adapter_uniform(
        times, frames=frames, interval=interval, seconds=seconds, clips=clips, rng=rng
    )


def zeroi2v_dense(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """In training as `aim_dense`, in testing from end to end (MCG-NJU/ZeroI2V, loading.py).

    That is mmaction2 1.x's SampleFrames. Test clips start evenly from the first start from which
    the last frame of a clip is still in the video to the last such start, rounded half to even; a
    single clip lies in the middle. Past the end clips go on from frame 0.
    """
    if rng is not None:
        return aim_dense(
            times, frames=frames, interval=interval, seconds=seconds, clips=clips, rng=rng
        )
    room = max(0, len(times) - 1 - (frames - 1) * interval)
    return _run(_spread(room, clips), frames, interval) % len(times)


def zeroi2v_uniform(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """In training as `st_adapter_uniform`; any number of test clips (the file of `zeroi2v_dense`).

    That is mmaction2's UniformSample. Test clip v takes the frame at (v + 1) / (V + 1) of a
    segment, counted from its start and rounded down.
    """
    if rng is not None:
        return st_adapter_uniform(
            times, frames=frames, interval=interval, seconds=seconds, clips=clips, rng=rng
        )
    starts, _ = _segments(times, frames)
    step = (len(times) - 1) / frames / (clips + 1)
    return starts + (step * np.arange(1, clips + 1)).astype(np.int64)[:, None]


def pytorchvideo_random(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """T frames spread over `seconds` from a random time on, as pytorchvideo's RandomClipSampler.

    Raises:
        UserError: there is no `seconds`, or it is asked for test clips.
    """
    length = _seconds(seconds)
    if rng is None:
        raise UserError(
            "pytorchvideo_random draws its clips, which is for training: "
            "set test.sampling, to pytorchvideo_constant or pytorchvideo_uniform for instance"
        )
    sampler = clip_sampling.RandomClipSampler(length)
    with _seeded(rng):
        found = [sampler(0.0, _duration(times), {}) for _ in range(clips)]
    return _windows(times, found, frames)


def pytorchvideo_constant(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """T frames spread over `seconds` from each of V times on, as ConstantClipsPerVideoSampler.

    The times divide evenly what lies before the last possible start, which is none of them. In
    training as `pytorchvideo_random`.

    Raises:
        UserError: there is no `seconds`.
    """
    if rng is not None:
        return pytorchvideo_random(
            times, frames=frames, interval=interval, seconds=seconds, clips=clips, rng=rng
        )
    sampler = clip_sampling.ConstantClipsPerVideoSampler(_seconds(seconds), clips)
    return _windows(times, [sampler(0.0, _duration(times), {}) for _ in range(clips)], frames)


def pytorchvideo_uniform(
    times: Times, *, frames: int, interval: int, seconds: float | None, clips: int, rng: Random
) -> Frames:
    """T frames spread over `seconds` of the clips, end to end, of UniformClipSampler.

    It gives as many as the video has room for. V of them are taken evenly, the first included;
    where there are fewer, some more than once. In training as `pytorchvideo_random`.

    Raises:
        UserError: there is no `seconds`.
    """
    if rng is not None:
        return pytorchvideo_random(
            times, frames=frames, interval=interval, seconds=seconds, clips=clips, rng=rng
        )
    sampler, duration = clip_sampling.UniformClipSampler(_seconds(seconds)), _duration(times)
    found = [sampler(0.0, duration, {})]
    while not found[-1].is_last_clip:
        found.append(sampler(found[-1].clip_end_sec, duration, {}))
    return _windows(times, [found[v * len(found) // clips] for v in range(clips)], frames)


def _run(starts: NDArray[np.int64], frames: int, interval: int) -> Frames:
    """Return T numbers from each start on."""
    return starts[:, None] + np.arange(frames) * interval


def _spread(room: int, clips: int) -> NDArray[np.int64]:
    """Return the starts of V clips from 0 to `room`, rounded half to even; of one, the middle."""
    if clips == 1:
        return np.array([room // 2])
    return np.round(np.arange(clips) * (room / (clips - 1))).astype(np.int64)


def _segments(times: Times, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last frames of T segments, each of which begins where another ends."""
    edges = np.round((len(times) - 1) / frames * np.arange(frames + 1)).astype(np.int64)
    return edges[:-1], edges[1:]


def _seconds(seconds: float | None) -> float:
    if seconds is None:
        raise UserError("clip.seconds is not set; pytorchvideo's samplings need a clip's length")
    return seconds


def _duration(times: Times) -> float:
    """Return seconds from the start of the first frame to the end of the last."""
    return float(times[-1] + np.median(np.diff(times))) if len(times) > 1 else 0.0


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """Let Python's own random numbers, which pytorchvideo draws, come from `rng` meanwhile."""
    state = random.getstate()
    random.seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        random.setstate(state)


def _windows(times: Times, found: list[clip_sampling.ClipInfo], frames: int) -> Frames:
    """Return T of the frames shown in each clip, from its start to before its end.

    They are spread as by pytorchvideo's UniformTemporalSubsample: first and last are taken, places
    between two frames are rounded down. A clip in which no frame begins has the one then shown.
    """
    numbers = []
    for clip in found:
        bounds = np.array([clip.clip_start_sec, clip.clip_end_sec], np.float64) - EPSILON
        first, end = np.searchsorted(times, bounds).tolist()
        first = min(first, len(times) - 1) if first < end else max(0, first - 1)
        count = max(1, end - first)
        numbers.append(first + np.arange(frames) * (count - 1) // max(1, frames - 1))
    return np.stack(numbers)


SAMPLINGS: dict[str, Callable[..., Frames]] = {
    each.__name__: each
    for each in (
        *(uniform, dense, st_adapter_dense, st_adapter_uniform, aim_dense, aim_uniform),
        *(zeroi2v_dense, zeroi2v_uniform),
        *(pytorchvideo_random, pytorchvideo_constant, pytorchvideo_uniform),
    )
}
