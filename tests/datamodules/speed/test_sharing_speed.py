"""What sharing saves is measured of real files: each clip decoded about once."""

import pytest
from augments import AS_IT_IS

from datamodules.datamodule import training_clips
from datamodules.dataset_info import DatasetInfo
from datamodules.loading.clips import sampling
from datamodules.sharing import servers
from datamodules.speed import sharing


@pytest.mark.slow
@pytest.mark.skipif(not servers.possible(), reason="memory without a name is Linux's")
def test_two_runs_decode_a_clip_once_and_one_alone_each(motion: DatasetInfo) -> None:
    choose = sampling("uniform", frames=4)
    clips = training_clips(motion, choose, AS_IT_IS, size=24, interpolation="bilinear", seed=3)
    found = sharing.measure(clips, runs=2, epochs=2, window=1)
    assert 1 <= found.decoded < 1.5
    assert found.alone > 0 and found.seconds > 0
