"""A folder of pictures is a video like any other."""

import av
import numpy as np
import pytest
from make_videos import greys, write
from PIL import Image

from datamodules.decoding import frame_folder as _frame_folder
from datamodules.decoding.frame_folder import FrameFolder
from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.open import open_video
from datamodules.decoding.video import DecodeError


def pictures(folder, numbers, form="{:05d}.png", codec="png", pixels="rgb24"):
    """Write pictures; the grey level of each is its place in `numbers`."""
    folder.mkdir(exist_ok=True)
    for level, number in enumerate(numbers):
        grey = np.full((48, 64, 3), level, np.uint8)
        with av.open(str(folder / form.format(number)), "w", format="image2") as container:
            stream = container.add_stream(codec, rate=25, options={"update": "1"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            stream.codec_context.color_range = 2  # as JPEG files have it
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels, dst_color_range=2)))
            container.mux(stream.encode(None))
    return folder


def levels(video, numbers):
    return video.frames(numbers).mean((1, 2, 3)).round().astype(int).tolist()


@pytest.mark.parametrize(
    ("form", "first"), [("{:05d}.png", 1), ("img_{:05d}.png", 0), ("frame{}.PNG", 8)]
)
def test_a_folder_gives_the_frames_that_a_video_does(form, first, tmp_path):
    folder = pictures(tmp_path / "a", range(first, first + 12), form)
    (folder / "thumbs.db").touch()
    with open_video(write(tmp_path / "a.mp4", greys(12))) as video, open_video(folder) as ours:
        assert isinstance(video, IndexedVideo) and isinstance(ours, FrameFolder)
        assert len(ours) == 12 and ours.duration == pytest.approx(video.duration)
        np.testing.assert_allclose(ours.times, video.times)
        numbers = [11, 3, 3, 0]
        np.testing.assert_array_equal(ours.frames(numbers), video.frames(numbers))
        clip = ours.get_clip(0.1, 0.3)["video"]
        assert clip.shape == (3, 5, 48, 64) and clip[0, :, 0, 0].tolist() == [3, 4, 5, 6, 7]
        assert ours.get_clip(1, 2) == {"video": None, "audio": None}
        with pytest.raises(IndexError):
            ours.frames([12])


@pytest.mark.slow
def test_jpeg_has_the_full_range(tmp_path):
    folder = pictures(tmp_path / "a", range(256), "{:05d}.jpg", "mjpeg", "yuvj420p")
    found = levels(FrameFolder(folder), range(256))
    assert np.abs(np.array(found) - np.arange(256)).max() <= 1


def test_only_wanted_pictures_are_opened(tmp_path, monkeypatch):
    folder = pictures(tmp_path / "a", range(9))
    (folder / "00004.png").write_bytes(b"broken")
    opened = []
    real = _frame_folder.open_file
    monkeypatch.setattr(_frame_folder, "open_file", lambda file: opened.append(file) or real(file))
    video = FrameFolder(folder)
    assert levels(video, [2, 7]) == [2, 7] and len(opened) == 2
    with pytest.raises(DecodeError, match=r"00004\.png"):
        video.frames([4])


def test_optical_flow_beside_the_frames_is_left_alone(tmp_path):
    pictures(tmp_path / "a", range(3), "flow_x_{:05d}.png")
    assert levels(FrameFolder(pictures(tmp_path / "a", range(5), "img_{:05d}.png")), [4]) == [4]


def test_pictures_become_rgb_and_upright_as_a_player_shows_them(tmp_path):
    """Grey, CMYK and turned pictures; the camera says how it was held."""
    rng = np.random.default_rng(0)
    rgb = np.repeat(np.repeat(rng.integers(256, size=(6, 8, 3), dtype=np.uint8), 8, 0), 8, 1)
    for number, mode in enumerate(("RGB", "L", "CMYK")):
        Image.fromarray(rgb).convert(mode).save(tmp_path / f"{number}.jpg", quality=100)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned right
    Image.fromarray(np.ascontiguousarray(np.rot90(rgb))).save(
        tmp_path / "3.jpg", quality=100, exif=turned
    )
    found = FrameFolder(tmp_path).frames([0, 1, 2, 3]).astype(int)
    grey = np.array(Image.fromarray(rgb).convert("L").convert("RGB")).astype(int)
    for frame, expected in zip(found, (rgb, grey, rgb, rgb), strict=True):
        assert np.abs(frame - expected)[4::8, 4::8].max() < 12  # amid the squares


def test_a_damaged_picture_and_one_of_another_size_are_named(tmp_path):
    folder = pictures(tmp_path / "a", range(4), "{}.jpg", "mjpeg", "yuvj444p")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "2.jpg")
    content = (folder / "3.jpg").read_bytes()
    (folder / "3.jpg").write_bytes(content[: len(content) * 2 // 3])
    video = FrameFolder(folder)
    assert len(video.frames([0, 1])) == 2
    with pytest.raises(DecodeError, match="frame 0 is 64x48, but frame 2 is 30x20"):
        video.frames([0, 2])
    with pytest.raises(DecodeError, match=r"3\.jpg"):
        video.frames([3])


def test_a_folder_that_makes_no_sense_is_told(tmp_path):
    with pytest.raises(DecodeError, match="No such file"):
        FrameFolder(tmp_path / "none")
    with pytest.raises(DecodeError, match="0 series"):
        FrameFolder(tmp_path)
    with pytest.raises(DecodeError, match="picture 2 is missing"):
        FrameFolder(pictures(tmp_path / "gap", [0, 1, 3]))
    two = pictures(tmp_path / "two", range(2), "left{}.png")
    with pytest.raises(DecodeError, match="series"):
        FrameFolder(pictures(two, range(2), "right{}.png"))
