"""What the tests of data share: videos whose frames name themselves, and a few moving digits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_videos import SHAPE, greys, write

from datamodules.dataset_info import DatasetInfo, Split
from datamodules.datasets.digits_motion import digits_motion


@pytest.fixture
def grey(tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that writes a video of so many frames, whose frame i is grey level i."""
    return lambda length: write(tmp_path / f"grey{length}.mp4", greys(length))


@pytest.fixture(scope="session")
def motion(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    """Return a small set of moving digits: 24 training, 16 holdout and 64 test videos."""
    return digits_motion(root=tmp_path_factory.mktemp("data"), train=24, holdout=16, test=64)


@pytest.fixture
def listed(tmp_path: Path) -> DatasetInfo:
    """Return a dataset of 2 classes; frame t of its video i is grey level 10 i + t."""
    paths, labels = [], []
    for i in range(13):
        name = f"{i}.mp4"
        write(tmp_path / name, [np.full((*SHAPE, 3), 10 * i + t, np.uint8) for t in range(6)])
        paths.append(name)
        labels.append(i % 2)
    split = Split.of(paths, labels, tmp_path)
    return DatasetInfo("listed", ("even", "odd"), {"train": split, "test": split}, flip="ok")
