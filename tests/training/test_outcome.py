"""The result of a run that is done waits for room on the disk."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from made_record import made_record
from places import set_places
from small_disk import crowd, fill, small_disk

from benchmark.recipes import compose
from benchmark.results import answers, predictions, record
from benchmark.runs import progress
from benchmark.training import outcome
from benchmark.training.evaluation import Scores
from benchmark.training.outcome import PAUSES, write_results
from datamodules import files
from datamodules.dataset_info import Split

NAME = "quick/digits_motion/vit_digits/aim/seed0"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put the records on a small disk."""
    set_places(monkeypatch, tmp_path)
    with small_disk(tmp_path / "results") as place:
        yield place


def write() -> None:
    scores = Scores(
        torch.arange(4),
        torch.zeros(4).long(),
        torch.eye(4),
        torch.ones(4).long(),
        torch.zeros(4).bool(),
        1,
    )
    split = Split.of([f"{i}.mp4" for i in range(4)], [0] * 4)
    found = made_record(NAME, compose.load(NAME))
    write_results(found, split, scores, None, keep_scores=True, folder=files.RUNS / NAME)


@pytest.mark.parametrize("make_full", [fill, crowd])
def test_a_record_is_written_as_soon_as_there_is_room(
    disk: Path,
    make_full: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = make_full(disk)  # type: ignore[operator]
    waited = list[float]()

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert not [*disk.rglob("*.json")]  # the record says that the rest is there
        if len(waited) == 3:
            for each in made if isinstance(made, list) else [made]:
                each.unlink()

    monkeypatch.setattr(outcome.time, "sleep", sleep)
    write()
    assert waited == [*PAUSES[:3]]
    file = record.path(NAME)
    assert record.read(file).name == NAME
    assert answers.path(file).exists() and predictions.path(file).exists()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3 and all(line.startswith(f"warning: {file}: ") for line in told)
    why = "No space left on device" if make_full is fill else "no free inodes: the disk has room"
    assert why in told[0] and told[0].endswith(
        "; the run is done, and its record is written as soon as there is room: next try in 10 s"
    )
    assert progress.last(files.RUNS / NAME)["note"] in told[-1]  # type: ignore[index]
    assert not [*disk.rglob("*.partial")]


def test_a_disk_that_stays_full_ends_the_wait_and_other_errors_begin_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_places(monkeypatch, tmp_path)
    waited = list[float]()
    monkeypatch.setattr(outcome.time, "sleep", waited.append)
    for number, pauses in ((errno.EDQUOT, [*PAUSES]), (errno.EIO, [])):

        def fail(descriptor: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        waited.clear()
        with pytest.raises(OSError, match=os.strerror(number)):
            write()
        assert waited == pauses and not record.path(NAME).exists()
    assert sorted(PAUSES) == [*PAUSES] and 1800 < sum(PAUSES) <= 3600
