"""Damaged videos: frames are right or an error, the same however they are asked for, at no cost."""

import resource
from pathlib import Path

import av
import numpy as np
import pytest
from make_videos import decode_all, scene, write

from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.video import DecodeError

LENGTH = 40
KINDS = {
    "a.mp4": ("libx264", {"x264-params": "keyint=10:bframes=2:scenecut=0"}),
    "open.mp4": ("libx264", {"x264-params": "keyint=10:open-gop=1:bframes=2:scenecut=0"}),
    "a.mkv": ("libx264", {"g": "10", "bf": "0"}),
    "a.ts": ("libx264", {"g": "10", "bf": "2"}),
    "a.avi": ("mpeg4", {"g": "10"}),
    "a.webm": ("libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}),
    "a.mpg": ("mpeg2video", {"g": "10", "bf": "2"}),
    "b.avi": ("mjpeg", {}),
}


@pytest.fixture(params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    codec, options = KINDS[request.param]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return write(tmp_path / request.param, scene(), codec, pixels, **options)


def asked(video: IndexedVideo, *wanted: int):
    """Return frames, or None where there is an error."""
    try:
        return video.frames(wanted)
    except DecodeError:
        return None


def place(path: Path, number: int) -> tuple[int, int]:
    """Return where the packet lies in the file, and its size."""
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][number]
        return packet.pos, packet.size


def test_damage_reaches_to_the_next_key_frame_and_no_further(tmp_path):
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p", g="10", bf="0")
    truth = decode_all(path)
    start, size = place(path, 25)
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    with IndexedVideo(path) as video:
        assert len(video) == LENGTH
        sound = [*range(25), *range(30, LENGTH)]
        np.testing.assert_array_equal(video.frames(sound), truth[sound])
        for i in range(25, 30):
            with pytest.raises(DecodeError, match=rf"a\.mp4: frame {i} of 40 is damaged"):
                video.frames([i])
            with pytest.raises(DecodeError, match=f"frame {i} of 40"):
                video.frames([0, i, 39])


@pytest.mark.slow
def test_flipped_bytes_give_frames_or_errors_however_they_are_asked_for(whole):
    content, truth = whole.read_bytes(), decode_all(whole)
    lost_ever = right = shown = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        broken = np.frombuffer(content, np.uint8).copy()
        start = int(rng.integers(len(broken) * 2 // 5, len(broken) * 4 // 5))
        broken[start : start + 300] = rng.integers(256, size=300)
        whole.write_bytes(broken.tobytes())
        try:
            video = IndexedVideo(whole)
        except DecodeError:
            continue
        with video:
            alone = [asked(video, i) for i in range(len(video))]
            lost = {i for i, frame in enumerate(alone) if frame is None}
            lost_ever += bool(lost)
            shown += len(video) - len(lost)
            right += sum(
                np.array_equal(alone[i][0], truth[i]) for i in range(len(video)) if i not in lost
            )
            for _ in range(10):
                some = rng.integers(len(video), size=3).tolist()
                frames = asked(video, *some)
                assert (frames is None) == bool(lost & set(some))
                if frames is not None:
                    np.testing.assert_array_equal(frames, [alone[i][0] for i in some])


@pytest.mark.slow
def test_files_cut_off_anywhere_give_the_frames_there_are_or_an_error(whole):
    content, truth = whole.read_bytes(), decode_all(whole)
    opened = 0
    for share in np.linspace(0, 0.99, 23):
        whole.write_bytes(content[: int(share * len(content))])
        try:
            video = IndexedVideo(whole)
        except DecodeError as error:
            assert str(whole) in str(error) and "\n" not in str(error)
            continue
        with video:
            opened += 1
            assert len(video) <= LENGTH
            for i in range(len(video) - 1):  # the last may lack its end, unnoticed
                frame = asked(video, i)
                assert frame is None or np.array_equal(frame[0], truth[i])
    assert opened > 5 or whole.suffix == ".mp4"


@pytest.mark.slow
def test_files_are_closed_even_after_errors(tmp_path, grey):
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    (tmp_path / "broken").write_bytes(grey(3).read_bytes()[:-200])
    (tmp_path / "text").write_text("no video" * 100)
    good = grey(3)
    before = open_files()
    for _ in range(100):
        for broken in ("broken", "text", "none", "."):
            with pytest.raises(DecodeError):
                IndexedVideo(tmp_path / broken)
        with IndexedVideo(good) as video:
            video.frames([0])
            with pytest.raises(IndexError):
                video.frames([3])
        video.close()  # a second time
    assert open_files() == before


@pytest.mark.slow
def test_memory_stays_flat_over_many_clips(whole):
    def clips(count: int) -> int:
        for i in range(count):
            with IndexedVideo(whole) as video:
                video.frames([i % 20, 39])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = clips(100)
    assert clips(400) - first < 4000  # kilobytes, over 400 x 2 frames of 9
