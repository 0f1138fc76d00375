"""Tuning never reads the test split: it works where the split's files are not there."""

import json
import shutil

import pytest
from places import set_places

from benchmark import lookup
from benchmark.recipes import compose
from benchmark.results import record
from benchmark.results import tuning as results
from benchmark.sweeps.jobs import Failure
from benchmark.sweeps.launchers import local
from benchmark.sweeps.tune import tune
from benchmark.training.train import train
from datamodules import files
from datamodules.decoding.video import DecodeError, ReadError

RUN = "mine/digits_motion/vit_digits/linear_probe"
SMALL = {
    "data": {"train": 48, "holdout": 16, "test": 16},
    "train": {"epochs": 2, "batch": 8},
    "clip": {"frames": 2},
    "tuning": {
        **{"trials": 2, "epochs": 0.5, "holdout": 0.3},
        "space": {"optim.lr": {"low": 1e-3, "high": 1e-2}},
    },
    **{"wandb": {"enabled": False}, "cache": False},
}


@pytest.mark.slow
def test_tuning_works_where_there_is_no_test_split(tmp_path, monkeypatch):
    set_places(monkeypatch, tmp_path)
    copy = shutil.copytree(files.ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.setattr(compose, "RECIPES", copy)
    shutil.copy(copy / "protocols/quick.yaml", copy / "protocols/mine.yaml")
    (copy / "protocols/mine/digits_motion").mkdir(parents=True)
    (copy / "protocols/mine/digits_motion/all.yaml").write_text(json.dumps(SMALL))
    lookup.call("datamodules.datasets", compose.load(RUN).data)  # which writes all splits
    (tests,) = (tmp_path / "runs/data").glob("digits_motion-*/test")
    shutil.rmtree(tests)

    def run(jobs, title=""):
        for job in jobs:
            train(job.recipe)
        return list[Failure]()

    monkeypatch.setattr(local, "run", run)
    assert tune(RUN) == 0
    found = results.read(results.path(RUN))
    assert len(found.trials) == 2 and found.holdout.videos == 16
    for file in record.files(record.RESULTS / "scratch"):
        trial = record.read(file)
        assert trial.metrics.split == "holdout" and trial.metrics.videos == 16
        assert trial.train.epochs == 1 and trial.metrics.top1 == trial.train.curve[-1].val_top1
    tuned = compose.load(RUN)
    assert tuned.tuned["trials"] == 2
    with pytest.raises((DecodeError, ReadError)):  # a run for the board would notice
        train(tuned)
