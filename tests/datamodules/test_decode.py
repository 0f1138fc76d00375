"""The decoder gives the frames of a full decode, decodes no more than it must, or says why not."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from make_videos import SHAPE, greys, write
from numpy.typing import NDArray

from datamodules import _decode
from datamodules._decode import DecodeError, IndexedVideo

LENGTH = 40
# How frames may refer to each other: file name, encoder, its options, whether packets tell frames.
STRUCTURES = {
    "only key frames": ("a.mp4", "libx264", {"g": "1"}, True),
    "no b-frames": ("a.mp4", "libx264", {"g": "12", "bf": "0"}, True),
    "one group": ("a.mp4", "libx264", {"g": "250", "x264-params": "bframes=3"}, True),
    "pyramid": ("a.mp4", "libx264", {"x264-params": "keyint=12:bframes=4:scenecut=0"}, True),
    "open groups": ("a.mp4", "libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3"}, True),
    "open groups, mkv": ("a.mkv", "libx264", {"x264-params": "open-gop=1:keyint=10"}, True),
    "open groups, ts": ("a.ts", "libx264", {"x264-params": "open-gop=1:keyint=10"}, True),
    "key frames that are none": ("a.mp4", "libx264", {"x264-params": "intra-refresh=1"}, True),
    "no timestamps": ("a.h264", "libx264", {"x264-params": "keyint=12:bframes=3"}, False),
    "avi": ("a.avi", "mpeg4", {"g": "12", "bf": "2"}, True),
    "mpeg-2": ("a.mpg", "mpeg2video", {"g": "12", "bf": "2"}, True),
    "hevc": ("a.mp4", "libx265", {"x265-params": "keyint=10:open-gop=1:log-level=none"}, True),
    "vp9, hidden frames": ("a.webm", "libvpx-vp9", {"g": "12", "auto-alt-ref": "1"}, True),
    "vp8, hidden frames": ("a.webm", "libvpx", {"g": "12", "auto-alt-ref": "1"}, False),
    "av1": ("a.mp4", "libsvtav1", {"g": "12", "preset": "12"}, True),
}


def scene() -> list[NDArray[np.uint8]]:
    """Return pictures of drifting waves and noise, so that every frame is its own."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[: SHAPE[0], : SHAPE[1]]
    pictures = []
    for i in range(LENGTH):
        waves = 128 + 90 * np.sin((x + 3 * i) / 7) * np.cos((y - 2 * i) / 9)
        noisy = waves[..., None] + rng.normal(0, 4, (*SHAPE, 3))
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return pictures


def decode_all(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(params=STRUCTURES)
def structure(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> tuple[Path, bool]:
    monkeypatch.setenv("SVT_LOG", "1")
    name, codec, options, trusted = STRUCTURES[request.param]
    return write(tmp_path / name, scene(), codec, "yuv420p", **options), trusted


def test_frames_are_those_of_a_full_decode(structure):
    path, trusted = structure
    truth = decode_all(path)
    rng = np.random.default_rng(1)
    with IndexedVideo(path) as video:
        assert len(video) == len(truth) == LENGTH
        assert video._seekable == trusted
        for _ in range(20):
            indices = rng.integers(LENGTH, size=rng.integers(1, 6))
            np.testing.assert_array_equal(video.frames(indices), truth[indices])
        np.testing.assert_array_equal(video.frames(range(LENGTH)), truth)


def test_times_are_those_of_a_full_decode(structure):
    path, _ = structure
    with IndexedVideo(path) as video:
        np.testing.assert_allclose(video.times, np.arange(LENGTH) / 25, atol=1e-3)
        assert video.duration == pytest.approx(LENGTH / 25, abs=2e-3)


def test_packets_that_are_not_kept_are_read_again(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p", g="12")
    monkeypatch.setattr(_decode, "KEPT", 1000)
    with IndexedVideo(path) as video:
        np.testing.assert_array_equal(video.frames([3, 30]), decode_all(path)[[3, 30]])


def test_a_frame_names_itself(grey):
    with IndexedVideo(grey(9)) as video:
        assert video.frames([8, 0, 3, 3])[:, 0, 0, 0].tolist() == [8, 0, 3, 3]


def test_only_what_is_needed_is_decoded(tmp_path, monkeypatch):
    options = {"x264-params": "keyint=10:bframes=2:scenecut=0:b-adapt=0"}
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p", **options)
    decoded: list[int] = []
    read = IndexedVideo._read

    def recorded(self, start, stop):
        decoded.extend(range(start, stop))
        return read(self, start, stop)

    monkeypatch.setattr(IndexedVideo, "_read", recorded)
    with IndexedVideo(path) as video:
        assert not decoded  # to find out which frames there are
        for wanted, stretches in {
            (0,): [range(1)],
            (10,): [range(10, 11)],
            (33,): [range(30, 32)],  # shown fourth, decoded second, before the b-frames
            (3, 22, 23, 24): [range(2), range(20, 26)],
            (20, 9): [range(8), range(20, 21)],
            (12, 21): [range(10, 14), range(20, 23)],
        }.items():
            decoded.clear()
            video.frames(wanted)
            assert decoded == [packet for stretch in stretches for packet in stretch]


def test_a_frame_that_cannot_be_decoded_is_an_error_and_the_others_are_not(tmp_path):
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p", g="10", bf="0")
    truth = decode_all(path)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][25]
    content = bytearray(path.read_bytes())
    content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    with IndexedVideo(path) as video:
        np.testing.assert_array_equal(video.frames([24, 39]), truth[[24, 39]])
        with pytest.raises(DecodeError, match=r"a\.mp4: "):
            video.frames([25])


def test_what_an_edit_list_cuts_away_is_no_frame(tmp_path):
    options = {"x264-params": "keyint=10:bframes=2:scenecut=0"}
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p", **options)
    cut = tmp_path / "cut.mp4"
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts -= 13 * 512  # the first 13 frames lie before time 0
                packet.dts -= 13 * 512
                packet.stream = stream
                target.mux(packet)
    truth = decode_all(cut)
    np.testing.assert_array_equal(truth, decode_all(path)[13:])
    with IndexedVideo(cut) as video:
        assert len(video) == len(truth) == 27 and video.times[0] == 0
        for i in range(27):
            np.testing.assert_array_equal(video.frames([i]), truth[[i]])


def test_a_recording_that_starts_amid_a_group_gives_what_can_be_shown(tmp_path):
    options = {"x264-params": "keyint=10:bframes=2:open-gop=1"}
    path = write(tmp_path / "a.ts", scene(), "libx264", "yuv420p", **options)
    late = tmp_path / "late.ts"
    late.write_bytes(path.read_bytes()[188 * 40 :])
    truth = decode_all(late)
    assert 10 < len(truth) < LENGTH
    with IndexedVideo(late) as video:
        np.testing.assert_array_equal(video.frames(range(len(video))), truth)


def test_frames_at_odd_times_are_found_by_their_times(tmp_path):
    path = tmp_path / "a.mkv"
    times = [0, 40, 45, 300, 310, 1000, 1001, 1500]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = SHAPE[1], SHAPE[0], "rgb24"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, picture in zip(times, greys(8), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with IndexedVideo(path) as video:
        np.testing.assert_allclose(video.times * 1000, times)
        clip = video.get_clip(0.045, 1.0)
        assert clip["audio"] is None and clip["video"].dtype == torch.float32
        assert clip["video"][0, :, 0, 0].tolist() == [2, 3, 4]  # (C, T, H, W), the end excluded
        assert video.get_clip(5, 6)["video"] is None


def audio_only(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(4000))


def truncated(path: Path) -> None:
    options = {"x264-params": "keyint=10", "movflags": "faststart"}
    whole = path.with_suffix(".mp4")
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = SHAPE[1], SHAPE[0], "yuv420p"
        for picture in scene():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b""), "Invalid data"),
        (lambda path: path.write_bytes(b"not a video" * 100), "Invalid data"),
        (audio_only, "no video"),
        (truncated, "cut off after 12 of 40 frames"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason(make, reason, tmp_path):
    path = tmp_path / "broken"
    make(path)
    with pytest.raises(DecodeError, match=reason) as caught:
        IndexedVideo(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_are_closed_even_after_errors(tmp_path, grey):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    audio_only(tmp_path / "broken")
    good = grey(3)
    before = open_files()
    for _ in range(3):
        with pytest.raises(DecodeError):
            IndexedVideo(tmp_path / "broken")
        with IndexedVideo(good) as video:
            video.frames([0])
            with pytest.raises(IndexError):
                video.frames([3])
        video.close()  # a second time
    assert open_files() == before


@pytest.mark.parametrize("indices", [[], [-1], [0, 3]])
def test_there_is_no_frame_out_of_range(indices, grey):
    with IndexedVideo(grey(3)) as video, pytest.raises(IndexError):
        video.frames(indices)
