"""What a record says of its data and of what it was computed in."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer

from benchmark.training.evaluation import Scores
from benchmark.training.provenance import data_provenance, environment
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.identity import identify


def test_what_was_broken_and_what_stands_in_both_splits_is_named_and_counted() -> None:
    train = Split.of(["a.mp4", "b.mp4", "c.mp4"], [0, 1, 0], "/v")
    test = Split.of(["c.mp4", "d.mp4"], [0, 1], "/v")
    info = DatasetInfo("set", ("x", "y"), {"train": train, "test": test}, flip="ok")
    data: Any = SimpleNamespace(data=info, evaluation_split="test", decoded=[0, 0])
    index, zeros = torch.arange(2), torch.zeros(2, dtype=torch.int64)
    scores = Scores(index, index, torch.ones(2, 2) / 2, zeros, torch.tensor([False, True]), 1)
    found = data_provenance(data, identify(info), {2, 0}, scores)
    assert found.broken == (0, 2) and found.broken_names == ("a.mp4", "c.mp4")
    assert found.broken_test == (1,) and found.broken_test_names == ("d.mp4",)
    assert found.shared == 1 and found.shared_content is None
    assert data_provenance(data, identify(info), (), scores, [0, 1]).shared_content == 2


def test_the_precision_is_the_one_that_was_computed_in() -> None:
    with pytest.warns(UserWarning, match="bf16"):
        trainer = Trainer(accelerator="cpu", precision="16-mixed", logger=False)
    assert environment(("c", False), {}, "w", "pyav", trainer).precision == "bf16-mixed"
    trainer = Trainer(accelerator="cpu", precision=32, logger=False)
    assert environment(("c", False), {}, "w", "pyav", trainer).precision == "32-true"
