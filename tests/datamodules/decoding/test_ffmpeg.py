"""A frame becomes the picture that a player shows, whatever the file says of colours and sides."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
from make_videos import SHAPE, decode_all, scene, with_matrix, write

from datamodules.decoding.indexed_video import IndexedVideo
from datamodules.decoding.video import DecodeError

# Display matrices (a, b, c, d), and what a player makes of the stored picture
SIDES = {
    "a quarter turn right": ((0, 1, -1, 0), lambda stored: np.rot90(stored, -1)),
    "a half turn": ((-1, 0, 0, -1), lambda stored: np.rot90(stored, 2)),
    "a quarter turn left": ((0, -1, 1, 0), lambda stored: np.rot90(stored)),
    "mirrored": ((-1, 0, 0, 1), lambda stored: stored[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda stored: stored[::-1]),
    "mirrored and turned": ((0, 1, 1, 0), lambda stored: stored.transpose(1, 0, 2)),
}
FORMATS = [  # file name, encoder, pixel format
    *(("a.mkv", "libx264", f"yuv{chroma}p") for chroma in ("420", "422", "444")),
    *(("a.mp4", "libx264", f"yuv{chroma}p10le") for chroma in ("420", "422", "444")),
    *(("a.mp4", "libx265", pixels) for pixels in ("yuv420p12le", "yuv444p", "gray")),
    *(("a.mp4", "libx264", pixels) for pixels in ("yuvj420p", "gray", "nv12")),
    *(("a.mkv", "ffv1", pixels) for pixels in ("yuva420p", "gray10le", "bgra", "gray16le")),
    *(("a.webm", codec, "yuva420p") for codec in ("libvpx", "libvpx-vp9")),
    *(("a.mov", "prores_ks", pixels) for pixels in ("yuv422p10le", "yuva444p10le")),
    ("a.avi", "utvideo", "gbrp"),
    *(("a.gif", "gif", pixels) for pixels in ("rgb8", "gray")),
    *(("a.apng", "apng", pixels) for pixels in ("rgb24", "rgba")),
]


@pytest.mark.parametrize("side", SIDES)
def test_frames_are_upright(side, tmp_path):
    matrix, shown = SIDES[side]
    path = write(tmp_path / "a.mp4", scene(12), "libx264", "yuv420p")
    stored = decode_all(path)
    with IndexedVideo(with_matrix(path, matrix)) as video:
        frames = video.frames([3, 0, 11])
        assert video.mirrored == (np.linalg.det(np.reshape(matrix, (2, 2))) < 0)
    np.testing.assert_array_equal(frames, [shown(stored[i]) for i in (3, 0, 11)])


@pytest.mark.parametrize(("name", "codec", "pixels"), FORMATS)
def test_every_kind_of_pixel_becomes_rgb_as_in_a_full_decode(name, codec, pixels, tmp_path):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {"g": "5"}
    if codec == "libvpx":
        options["auto-alt-ref"] = "0"  # or it has no transparency
    path = write(tmp_path / name, scene(12), codec, pixels, **options)
    truth = decode_all(path)
    assert np.abs(truth[0] - scene(1)[0].mean(-1, keepdims=True)).mean() < 60  # a picture of it
    with IndexedVideo(path) as video:
        for wanted in (range(12), [11], [7, 2]):
            np.testing.assert_array_equal(video.frames(wanted), truth[list(wanted)])


@pytest.mark.parametrize(("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (5, 0.299, 0.114)])
@pytest.mark.parametrize(("span", "low", "high"), [(1, 16, 235), (2, 0, 255)])
def test_colours_are_by_the_matrix_and_range_of_the_file(
    matrix, red, blue, span, low, high, tmp_path
):
    y, u, v = 120, 90, 170
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, span
        planes = np.concatenate([np.full((48, 64), y), np.full((12, 64), u), np.full((12, 64), v)])
        frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8), format="yuv420p")
        frame.colorspace, frame.color_range = matrix, span
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    luma = (y - low) / (high - low)
    cb, cr = ((c - 128) / (224 if span == 1 else 255) for c in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    expected = 255 * np.array([r, (luma - red * r - blue * b) / (1 - red - blue), b])
    with IndexedVideo(path) as video:
        assert np.abs(video.frames([0])[0, 20, 20] - expected).max() <= 2


def test_odd_sizes_and_wide_pixels_stay_as_they_are_stored(tmp_path):
    odd = [picture[:-1, :-1] for picture in scene(6)]
    path = write(tmp_path / "a.mp4", odd, "libx264", "yuv444p", aspect="16:9")
    with IndexedVideo(path) as video:
        assert video.frames([5]).shape == (1, SHAPE[0] - 1, SHAPE[1] - 1, 3)
        np.testing.assert_array_equal(video.frames([5]), decode_all(path)[[5]])


def test_a_header_that_claims_a_huge_picture_is_refused(tmp_path):
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W16000 H15000 F25:1\nFRAME\n" + bytes(500))
    with pytest.raises(DecodeError, match="it claims to be 16000x15000"):
        IndexedVideo(path)


def test_what_is_no_video_is_not_taken_for_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    video = write(tmp_path / "a.mp4", scene(3))
    (tmp_path / "art.txt").write_text("\x1b[31mterminal art\n" * 99)
    (tmp_path / "list").write_text(f"ffconcat version 1.0\nfile {video.name}\n")
    (tmp_path / "a.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{video.name}\n#EXT-X-ENDLIST\n")
    for name in ("pipe", "art.txt", "list", "a.m3u8"):
        with pytest.raises(DecodeError, match=f"{name}: ") as caught:
            IndexedVideo(tmp_path / name)
        assert str(caught.value).count("\n") == 0


def test_names_are_names_and_no_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("10:30.mp4", "http:a.mp4", "100%03d.mp4", "-i.mp4", "a b'\n.mp4"):
        Path(name).write_bytes(write(tmp_path / "a.mp4", scene(2)).read_bytes())
        with IndexedVideo(name) as video:
            assert len(video) == 2
