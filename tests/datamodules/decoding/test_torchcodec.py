"""The second decoder gives the frames of the first, at the same times, or says that it cannot."""

import os
import sys

import numpy as np
import pytest
from make_videos import remux, scene, with_matrix, write

from datamodules.decoding import torchcodec as _torchcodec
from datamodules.decoding.frame_folder import FrameFolder
from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.open import open_video, version
from datamodules.decoding.torchcodec import TorchcodecVideo
from datamodules.decoding.video import DecodeError
from datamodules.errors import UserError

try:
    version("torchcodec")
except UserError as reason:
    MISSING = str(reason)
else:
    MISSING = ""
skipped = bool(MISSING) and "CI_SERVICES" not in os.environ
needed = pytest.mark.skipif(skipped, reason=MISSING or "it is there")

KINDS = {
    "no b-frames": ("a.mp4", "libx264", {"g": "12", "bf": "0"}),
    "pyramid": ("a.mp4", "libx264", {"x264-params": "keyint=12:bframes=4:scenecut=0"}),
    "open groups": ("a.mp4", "libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3"}),
    "full range": ("a.mp4", "libx264", {"g": "12", "color_range": "2"}),
    "mkv": ("a.mkv", "libx264", {"g": "12", "bf": "2"}),
    "hevc": ("a.mp4", "libx265", {"x265-params": "keyint=10:log-level=none"}),
    "vp9": ("a.webm", "libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "vp8": ("a.webm", "libvpx", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "av1": ("a.mp4", "libsvtav1", {"g": "12", "preset": "12"}),
    "mpeg-4": ("a.avi", "mpeg4", {"g": "12"}),
}


@needed
@pytest.mark.parametrize("kind", KINDS)
def test_both_decoders_give_the_same_bits_at_the_same_times(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SVT_LOG", "1")
    name, codec, options = KINDS[kind]
    pixels = "yuvj420p" if kind == "full range" else "yuv420p"
    path = write(tmp_path / name, scene(), codec, pixels, **options)
    with IndexedVideo(path) as first, open_video(path, "torchcodec") as second:
        assert isinstance(second, TorchcodecVideo)
        np.testing.assert_array_equal(first.times, second.times)
        assert first.duration == second.duration
        for wanted in (range(40), [39, 0, 7, 7], [13]):
            np.testing.assert_array_equal(first.frames(wanted), second.frames(wanted))
        clip = second.get_clip(0.1, 0.3)["video"]
        assert clip.shape == (3, 5, 48, 64) and (clip == first.get_clip(0.1, 0.3)["video"]).all()
        with pytest.raises(IndexError):
            second.frames([40])
    second.close()  # a second time


@needed
def test_both_turn_frames_upright_and_mirrored_ones_are_refused(tmp_path):
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p")
    with_matrix(path, (0, 1, -1, 0))
    with IndexedVideo(path) as first, TorchcodecVideo(path) as second:
        np.testing.assert_array_equal(first.frames([20]), second.frames([20]))
        assert second.frames([20]).shape == (1, 64, 48, 3)
    with_matrix(path, (-1, 0, 0, 1))
    with pytest.raises(DecodeError, match="mirrored"):
        TorchcodecVideo(path)


@needed
def test_frames_that_an_edit_list_cuts_away_are_none(tmp_path):
    path = write(tmp_path / "a.mp4", scene(), "libx264", "yuv420p", g="10", bf="2")

    def late(number, packet):
        packet.pts -= 13 * 512
        packet.dts -= 13 * 512
        return packet

    path = remux(path, tmp_path / "cut.mp4", late)
    with IndexedVideo(path) as first, TorchcodecVideo(path) as second:
        assert len(first) == len(second) == 27
        np.testing.assert_array_equal(first.frames(range(27)), second.frames(range(27)))


@needed
def test_what_torchcodec_cannot_read_is_told_in_a_line(tmp_path):
    broken = tmp_path / "a.mp4"
    broken.write_bytes(b"no video" * 100)
    raw = write(tmp_path / "a.h264", scene(), "libx264", "yuv420p")
    for path in (broken, raw, tmp_path / "none.mp4"):
        with pytest.raises(DecodeError, match=path.name) as caught:
            TorchcodecVideo(path).frames([30])
        assert "\n" not in str(caught.value) and ".cpp" not in str(caught.value)


def test_without_it_the_user_is_told_what_to_install(monkeypatch, grey):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    with pytest.raises(UserError, match="pip install"):
        open_video(grey(3), "torchcodec")
    monkeypatch.setattr(_torchcodec, "import_module", lambda name: NoFFmpeg)
    with pytest.raises(UserError, match="install ffmpeg"):
        version("torchcodec")


class NoFFmpeg:
    ffmpeg_major_version = None


def test_a_decoder_is_named_and_a_folder_needs_none(grey, tmp_path):
    assert version("pyav").startswith("pyav 18") and "libavcodec 6" in version("pyav")
    for ask in (lambda: open_video(grey(3), "decord"), lambda: version("decord")):
        with pytest.raises(UserError, match="no decoder 'decord': pyav or torchcodec"):
            ask()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    assert isinstance(open_video(tmp_path / "a", "torchcodec"), FrameFolder)
