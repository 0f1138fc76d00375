"""A second pass over test views decodes nothing that fits, and gives the same bits."""

import pytest
import torch
from torch.utils.data import DataLoader

from datamodules.datamodule import all_views
from datamodules.loading.clips import sampling
from datamodules.sharing.kept_views import KeptViews
from datamodules.sharing.memory import slot_size
from datamodules.sharing.servers import possible

pytestmark = pytest.mark.skipif(not possible(), reason="memory without a name is Linux's")


@pytest.mark.slow
@pytest.mark.parametrize("fitting", [0, 5, 16])
def test_the_second_pass_decodes_what_did_not_fit(motion, fitting):
    views = all_views(
        motion, sampling("uniform", frames=4), clips=2, crops=3, size=24, interpolation="bilinear"
    )
    kept = KeptViews(views, fitting * slot_size(6, 3, 4, 24, 24))
    passes = [[*DataLoader(kept, 8, num_workers=1)]]  # a worker fills it, this process reads it
    opened, views.open = [], lambda index, own=views.open: opened.append(index) or own(index)
    passes += [[*DataLoader(kept, 8)]]
    assert opened == [*range(fitting, len(views))]
    expected = [*DataLoader(views, 8)]
    for found in passes:
        for batch, other in zip(found, expected, strict=True):
            assert all(torch.equal(batch[name], other[name]) for name in other)
