"""What `bench-data` compares decodes the same clips, and its table says what it measured."""

import numpy as np
import pytest
from make_videos import write

from datamodules.loading import clip_sampling
from datamodules.speed import decoding as _speed
from datamodules.speed.decoders import DECODERS, planned
from datamodules.speed.decoding import _clip, compare, measure, table


@pytest.fixture
def video(tmp_path):
    """Return a video of 64 frames, a key frame every 16, some of which refer to later ones."""
    pictures = np.random.default_rng(0).integers(0, 255, (64, 8, 8, 3), np.uint8)
    smooth = pictures.repeat(8, 1).repeat(8, 2)
    options = {"x264-params": "keyint=16:scenecut=0:bframes=2", "qp": "10"}
    return write(tmp_path / "a.mp4", list(smooth), "libx264", "yuv420p", **options)


def test_exactly_the_packets_needed_are_planned(video):
    plan = planned(video, np.array([20, 23, 40]))
    assert len(plan) == 2 and [len(stretch.wanted) for stretch in plan] == [2, 1]
    assert 5 <= plan[0].packets <= 10 and 9 <= plan[1].packets <= 12


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["PyAV, everything", "PyAV, bare: only packets known to be needed"]
)
@pytest.mark.parametrize("sampling", [clip_sampling.dense, clip_sampling.uniform])
def test_all_decode_the_same_frames(video, name, sampling):
    for seed in range(5):
        clip = _clip(video, np.random.default_rng(seed), sampling, frames=8, interval=4)
        assert len(set(clip.wanted.tolist())) == 8
        assert np.array_equal(DECODERS[name](clip), DECODERS["ours"](clip))


@pytest.mark.slow
def test_stock_pytorchvideo_takes_clips_of_the_same_length(video):
    clip = _clip(video, np.random.default_rng(0), clip_sampling.dense, frames=8, interval=4)
    assert clip.seconds == pytest.approx(8 * 4 / 25)
    found = DECODERS["pytorchvideo's LabeledVideoDataset"](clip)
    assert found.shape == (8, 64, 64, 3)
    whole = _clip(video, np.random.default_rng(0), clip_sampling.uniform, frames=8, interval=1)
    assert whole.seconds == pytest.approx(64 / 25)
    last = DECODERS["PyAV, everything"](clip.__class__(str(video), np.array([0, 63]), 0, ()))
    found = DECODERS["pytorchvideo's LabeledVideoDataset"](whole)
    assert np.array_equal(found[[0, -1]], last)


def test_the_table_shows_medians_and_how_many_times_faster_ours_are():
    seconds = {"8 uniform": {"ours": [1.0, 2.0, 9.0], "other": [8.0, 4.0, 36.0]}}
    assert table(seconds, {"ours": 10, "other": 90}, count=4).splitlines()[2:] == [
        "| ours | 2.0 | 10 MB |",
        "| other | 0.5 (4.00 x) | 90 MB |",
    ]


@pytest.mark.slow
def test_every_contender_is_measured_in_a_process_of_its_own(video, capsys, monkeypatch):
    seconds, memory = measure([video], rounds=1)
    assert seconds.keys() == _speed.BUDGETS.keys() and "ours" in memory
    for own in seconds.values():
        assert own.keys() == memory.keys()
        assert all(len(each) == 1 and each[0] > 0 for each in own.values())


def test_a_folder_without_videos_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(_speed.UserError, match="there is no video in"):
        compare(tmp_path)
