"""A part of a video is a video: its frames and times count from its start."""

import numpy as np
import pytest
from make_datasets import epic, jpegs
from make_videos import greys, write

from datamodules.datasets.epic_kitchens100 import epic_kitchens100
from datamodules.decoding.open import open_video
from datamodules.decoding.segment import Segment
from datamodules.decoding.video import DecodeError


def levels(video):
    """Return the grey levels of all frames, which are their places in the whole video."""
    return video.frames(range(len(video))).mean((1, 2, 3)).round().astype(int).tolist()


@pytest.fixture(params=["file", "folder"])
def whole(request, tmp_path):
    """Return a function that opens a video of 20 frames, 25 per second."""
    if request.param == "folder":
        jpegs(tmp_path / "video", 20)
        return lambda: open_video(tmp_path / "video")
    file = write(tmp_path / "video.mp4", greys(20))
    return lambda: open_video(file)


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [
        (0, 0.8, range(20)),
        (0, 0.2, range(5)),
        (0.2, 0.4, range(5, 10)),
        (0.19, 0.41, range(5, 11)),
        (0.19999, 0.39999, range(5, 10)),  # a hair's breadth before the frames
        (0.76, 99, [19]),
        (-1, 0.01, [0]),
    ],
)
def test_a_part_holds_the_frames_that_are_shown_in_it(whole, start, end, frames):
    with Segment(whole(), start, end) as part:
        assert len(part) == len(frames) and levels(part) == list(frames)
        np.testing.assert_allclose(part.times, np.arange(len(frames)) / 25, atol=1e-9)
        assert part.duration == pytest.approx(len(frames) / 25)


def test_frames_of_a_part_are_taken_in_any_order_and_by_seconds(whole):
    with Segment(whole(), 0.2, 0.6) as part:
        assert part.frames([9, 0, 0]).mean((1, 2, 3)).round().tolist() == [14, 5, 5]
        clip = part.get_clip(0.08, 0.2)["video"]
        assert clip.shape == (3, 3, 48, 64) and clip[0, :, 0, 0].tolist() == [7, 8, 9]
        assert part.get_clip(0.4, 1) == {"video": None, "audio": None}
        for wrong in ([10], [-1], []):
            with pytest.raises(IndexError, match="frames 0 to 9"):
                part.frames(wrong)


@pytest.mark.parametrize(("start", "end"), [(0.8, 2), (0.41, 0.43), (0.5, 0.3)])
def test_a_part_without_frames_is_a_broken_video(whole, start, end):
    video = whole()
    closed = []
    close, video.close = video.close, lambda: closed.append(close())
    with pytest.raises(DecodeError, match=rf"video.*: no frame from {start} to {end} s"):
        Segment(video, start, end)
    assert len(closed) == 1


def test_closing_a_part_closes_the_video(whole):
    video = whole()
    closed = []
    close, video.close = video.close, lambda: closed.append(close())
    with Segment(video, 0, 1):
        assert closed == []
    assert len(closed) == 1


def test_parts_of_epic_kitchens_are_cut_by_seconds_and_by_frame_numbers(tmp_path):
    epic(tmp_path, 4, 4)  # row 0 is the seconds 0.5 to 2.5, or the frames 25 to 125, from 1
    pictures = greys(100)
    write(tmp_path / "P01" / "videos" / "P01_00.MP4", pictures)
    jpegs(tmp_path / "P01" / "rgb_frames" / "P01_00", 150)
    found = []
    for videos in ("{participant_id}/videos/{video_id}.MP4", "P01/rgb_frames/{video_id}"):
        train = epic_kitchens100(root=tmp_path, videos=videos, sizes="any").splits["train"]
        with Segment(open_video(train.path(0)), *train.segment(0)) as part:
            found.append(levels(part))
    assert found == [[*range(13, 63)], [*range(24, 125)]]
