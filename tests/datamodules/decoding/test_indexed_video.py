"""The decoder gives the frames of a full decode, decodes no more than it must, or says why not."""

import os
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from make_videos import SHAPE, decode_all, greys, remux, scene, write

from datamodules.decoding import packet_index as _index
from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.packet_index import read_index
from datamodules.decoding.video import DecodeError

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
    "h264 in avi, times of decoding": ("a.avi", "libx264", {"g": "12", "bf": "2"}, False),
    "interlaced": ("a.mp4", "libx264", {"g": "12", "flags": "+ildct+ilme"}, False),
    "fragments": ("a.mp4", "libx264", {"g": "12", "movflags": "frag_keyframe+empty_moov"}, True),
    "flv": ("a.flv", "libx264", {"g": "12", "bf": "2"}, True),
    "mpeg-ts": ("a.ts", "mpeg2video", {"g": "12", "bf": "2"}, True),
    "mpeg-1": ("a.mpg", "mpeg1video", {"g": "12", "bf": "2"}, True),
    "mpeg-4": ("a.avi", "mpeg4", {"g": "12"}, True),
    "windows media": ("a.wmv", "wmv2", {"g": "12"}, False),
    "ms mpeg-4": ("a.avi", "msmpeg4", {"g": "12"}, False),
    "sorenson": ("a.flv", "flv", {"g": "12"}, False),
    "motion jpeg": ("a.avi", "mjpeg", {}, True),
    "lossless": ("a.mkv", "ffv1", {"g": "12"}, False),
    "av1, raw": ("a.obu", "libsvtav1", {"g": "12", "preset": "12"}, True),
    "nut": ("a.nut", "libx264", {"g": "12", "bf": "2"}, True),
}


@pytest.fixture(params=STRUCTURES)
def structure(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> tuple[Path, bool]:
    monkeypatch.setenv("SVT_LOG", "1")
    name, codec, options, trusted = STRUCTURES[request.param]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return write(tmp_path / name, scene(), codec, pixels, **options), trusted


def test_frames_are_those_of_a_full_decode(structure):
    path, trusted = structure
    truth = decode_all(path)
    rng = np.random.default_rng(1)
    with IndexedVideo(path) as video:
        assert len(video) == len(truth) == LENGTH
        assert video._index.trusted == trusted
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
    monkeypatch.setattr(_index, "KEPT", 1000)
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


def test_key_frames_that_are_none_are_no_help(tmp_path):
    path = write(tmp_path / "a.mp4", scene(), "mpeg4", "yuv420p", g="20")

    def lie(number, packet):
        packet.is_keyframe |= number % 3 == 0
        return packet

    truth = decode_all(path)
    with IndexedVideo(remux(path, tmp_path / "b.mp4", lie)) as video:
        assert len(video._index.keys) > 10
        for i in np.random.default_rng(0).permutation(LENGTH):
            np.testing.assert_array_equal(video.frames([i]), truth[[i]])


@pytest.mark.parametrize(
    "stamp",
    [
        lambda number: number // 3,  # doubled
        lambda number: number - 7,  # before 0
        lambda number: number if number < 20 else number - 19.5,  # back to the start
        lambda number: 40 - number,
    ],
)
def test_timestamps_that_make_no_sense_mix_up_no_frames(stamp, tmp_path):
    path = write(tmp_path / "a.avi", scene(), "mpeg4", "yuv420p", g="12")

    def restamp(number, packet):
        packet.time_base = Fraction(1, 50)
        packet.pts = packet.dts = int(2 * stamp(number))
        return packet

    with av.open(str(path)) as source:
        packets = [p for p in source.demux(video=0) if p.size]
        stream = source.streams.video[0]
        packets = [restamp(number, packet) for number, packet in enumerate(packets)]
        index = read_index(packets, stream, explicit=True)
        ordered = sorted(packet.pts for packet in packets) == [p.pts for p in packets]
        assert index.trusted == (ordered and len({p.pts for p in packets}) == LENGTH)


def test_frames_that_repeat_the_one_before_are_no_frames(tmp_path):
    path = write(tmp_path / "a.avi", scene(), "mpeg4", "yuv420p", g="12")

    def empty(number, packet):
        if number not in (5, 17, 18):
            return packet
        short = av.Packet(b"\0\0\1\xb6" + bytes([0b01010000, 0b01001111]))  # nothing coded
        short.pts, short.dts, short.time_base = packet.pts, packet.dts, packet.time_base
        return short

    path = remux(path, tmp_path / "b.avi", empty)
    truth = decode_all(path)
    with IndexedVideo(path) as video:
        assert len(video) == len(truth) == LENGTH - 3
        np.testing.assert_array_equal(video.frames([30, 4]), truth[[30, 4]])
        assert video.times[5] == pytest.approx(6 / 25)


@pytest.mark.slow
def test_recordings_one_after_the_other_are_told_apart(tmp_path):
    """Timestamps start over, or lie between each other; the decoder knows the order."""
    for shift in (0, 1):
        first = write(tmp_path / "a.ts", scene(), "libx264", "yuv420p", g="10")
        second = write(tmp_path / "b.ts", scene()[shift::-1] * 3, "libx264", "yuv420p", bf="0")
        path = tmp_path / "both.ts"
        path.write_bytes(first.read_bytes() + second.read_bytes())
        truth = decode_all(path)
        with IndexedVideo(path) as video:
            assert len(video) == len(truth)
            for i in range(0, len(truth), 3):
                np.testing.assert_array_equal(video.frames([i]), truth[[i]])


def test_frames_of_two_sizes_are_right_each_but_make_no_clip(tmp_path):
    small = [picture[:32, :48] for picture in scene(20)]
    first = write(tmp_path / "a.h264", scene(20), "libx264", "yuv420p", g="10")
    second = write(tmp_path / "b.h264", small, "libx264", "yuv420p", g="10")
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with IndexedVideo(path) as video:
        assert len(video) == 40
        np.testing.assert_array_equal(video.frames([7, 19]), decode_all(first)[[7, 19]])
        np.testing.assert_array_equal(video.frames([20, 33]), decode_all(second)[[0, 13]])
        with pytest.raises(DecodeError, match="frame 3 is 64x48, but frame 30 is 48x32"):
            video.frames([3, 30])


def test_of_several_videos_the_first_is_taken_and_a_cover_is_none(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=25) for codec in ("mpeg4", "mpeg4", "png")]
        for stream, size in zip(streams, (64, 48, 32), strict=True):
            stream.width, stream.height = size, size
            stream.pix_fmt = "rgb24" if size == 32 else "yuv420p"
        streams[2].disposition = Disposition.attached_pic
        for stream in streams:
            frame = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with IndexedVideo(path) as video:
        assert video.frames([0]).shape == (1, 64, 64, 3)
    cover = tmp_path / "cover.mp4"
    with av.open(str(path)) as whole, av.open(str(cover), "w") as container:
        stream = container.add_stream_from_template(whole.streams[2])
        stream.disposition = Disposition.attached_pic
        for packet in whole.demux(whole.streams[2]):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    with pytest.raises(DecodeError, match="there is no video in it"):
        IndexedVideo(cover)


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


@pytest.mark.parametrize("indices", [[], [-1], [0, 3]])
def test_there_is_no_frame_out_of_range(indices, grey):
    with IndexedVideo(grey(3)) as video, pytest.raises(IndexError):
        video.frames(indices)


def test_encoding_leaves_the_priority_of_this_process_as_it_was(tmp_path: Path):
    before = os.sched_getscheduler(0)
    write(tmp_path / "a.mp4", scene(4), "libsvtav1", "yuv420p", preset="12")
    assert os.sched_getscheduler(0) == before == os.SCHED_OTHER
