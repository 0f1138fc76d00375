"""What does not answer, or loops, is named and given up; nothing else changes."""

import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from augments import AS_IT_IS
from torch.utils.data import get_worker_info

from datamodules.datamodule import VideoDataModule, all_views, training_clips
from datamodules.dataset_info import DatasetInfo
from datamodules.decoding.video import DecodeError, Open, RandomAccessVideo, ReadError
from datamodules.loading import deadline
from datamodules.loading.clips import Item, sampling

pytestmark = pytest.mark.slow

SECONDS = 2.0  # far more than a read takes here, whatever else the machine does
BAD = 5  # index of the video that something is wrong with
VARIED = replace(AS_IT_IS, scale=[0.3, 1.0], flip=0.5)


class Sleepy:
    """Opens videos; one of them late, the first so many times in all processes together.

    Args:
        opened: Opens them.
        folder: Where times are counted.
        times: How often it is late.
    """

    def __init__(self, opened: Open, folder: Path, times: int) -> None:
        self.opened, self.folder, self.times = opened, folder, times

    def __call__(self, index: int) -> RandomAccessVideo:
        if index == BAD and len(list(self.folder.iterdir())) < self.times:
            (self.folder / str(os.getpid())).touch()
            time.sleep(600)
        return self.opened(index)


class Looping:
    """Opens videos; one of them never, in C code that keeps Python's lock to itself."""

    def __init__(self, opened: Open) -> None:
        self.opened = opened

    def __call__(self, index: int) -> RandomAccessVideo:
        if index == BAD:
            re.match("(a+)+$", "a" * 60 + "b")
        return self.opened(index)


class HandingOver:
    """Opens videos; one worker, once, loops in C code before its first batch is fetched from it."""

    def __init__(self, opened: Open, mark: Path) -> None:
        self.opened, self.mark, self.count = opened, mark, 0

    def __call__(self, index: int) -> RandomAccessVideo:
        self.count += 1
        worker = get_worker_info()
        if worker and worker.id == 1 and self.count in (1, 4) and not self.mark.exists():
            time.sleep(0.5)  # in which the other's first batch is fetched; this one's is announced
            if self.count == 4:
                self.mark.touch()
                re.match("(a+)+$", "a" * 60 + "b")
        return self.opened(index)


class Silent:
    """Opens videos; one of them from a disk that never answers, as a pipe nobody writes to does.

    A pipe in a list of videos is broken at once: it is no regular file, which a disk's file is.
    """

    def __init__(self, opened: Open, file: str) -> None:
        self.opened, self.file = opened, file

    def __call__(self, index: int) -> RandomAccessVideo:
        if index == BAD:
            open(self.file, "rb").close()
        return self.opened(index)


class Broken:
    """Opens videos; one of them is broken."""

    def __init__(self, opened: Open) -> None:
        self.opened = opened

    def __call__(self, index: int) -> RandomAccessVideo:
        if index == BAD:
            raise DecodeError("broken")
        return self.opened(index)


def module(data: DatasetInfo, patience: float | None = SECONDS, **views: Any) -> VideoDataModule:
    choose = sampling("uniform", frames=2)
    shared: dict[str, Any] = {"size": 24, "interpolation": "bilinear"}
    return VideoDataModule(
        data,
        training=training_clips(data, choose, VARIED, seed=0, **shared),
        testing=all_views(data, choose, clips=1, crops=1, **views, **shared),
        batch=3,
        test_batch=4,
        mean=[0.5] * 3,
        std=[0.2] * 3,
        workers=2,
        patience=patience,
    )


def epochs(made: VideoDataModule) -> Iterator[Item]:
    """Yield the training batches of two epochs, by workers that live on."""
    loader = made.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader


def same(one: list[Item], other: list[Item]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(one, other, strict=True)
    )


def test_with_nothing_late_a_deadline_changes_nothing(listed: DatasetInfo) -> None:
    plain = list(epochs(module(listed, None)))
    assert same(list(epochs(module(listed))), plain) and len(plain) == 8


def test_a_decoder_that_sleeps_once_is_replaced_and_the_same_clips_come(
    listed: DatasetInfo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = module(listed)
    made._training.open = Sleepy(made._training.open, tmp_path / "late", 1)
    (tmp_path / "late").mkdir()
    with caplog.at_level(logging.WARNING, "datamodules"):
        found = list(epochs(made))
    assert same(found, list(epochs(module(listed, None))))
    (process,) = (each.name for each in (tmp_path / "late").iterdir())
    file = listed.splits["train"].path(BAD)
    assert caplog.messages == [
        f"rank 0: {file}: not read within 2 s; its loader worker (process {process}) is replaced, "
        "and it is read again on its own",
        f"rank 0: {file}: read in time on its own",
    ]
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)


def test_a_decoder_that_loops_counts_as_a_broken_video(
    listed: DatasetInfo, caplog: pytest.LogCaptureFixture
) -> None:
    made, other = module(listed), module(listed)
    made._training.open = Looping(made._training.open)
    other._training.open = Broken(other._training.open)
    with caplog.at_level(logging.WARNING, "datamodules"):
        found = list(epochs(made))
    assert same(found, list(epochs(other)))
    assert sum(batch["broken"].eq(BAD).sum() for batch in found) == 2  # of two epochs
    file = listed.splits["train"].path(BAD)
    told = f"rank 0: {file}: not decoded within 2 s, twice; it counts as broken"
    assert len(caplog.messages) == 2 and caplog.messages[1] == told


@pytest.mark.parametrize("broken", ["stop", "wrong"])
def test_a_test_video_that_loops_is_one_that_is_broken(listed: DatasetInfo, broken: str) -> None:
    made = module(listed, broken=broken)
    made._testing.open = Looping(made._testing.open)
    file = listed.splits["test"].path(BAD)
    if broken == "stop":
        with pytest.raises(DecodeError, match=rf"{file}: not decoded within 2 s, twice"):
            list(made.test_dataloader())
        return
    batches = list(made.test_dataloader())
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(13))
    assert [i for batch in batches for i in batch["broken"].tolist() if i >= 0] == [BAD]


def test_a_file_that_never_answers_ends_the_run_and_has_no_stand_in(
    listed: DatasetInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(deadline, "PAUSES", (0.01, 0.02))
    file = listed.splits["train"].path(BAD)
    os.unlink(file)
    os.mkfifo(file)
    made = module(listed, 1.0)
    made._training.open = Silent(made._training.open, file)
    with (
        caplog.at_level(logging.WARNING, "datamodules"),
        pytest.raises(ReadError, match=rf"^{file}: it does not answer, asked 4 times for 1 s$"),
    ):
        list(epochs(made))
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(f"rank 0: {file}: not read")


def test_what_is_late_only_beside_others_ends_the_run_with_what_helps(
    listed: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline.DeadlineLoader, "_on_its_own", lambda *_: deadline._Found.IN_TIME)
    made = module(listed, 0.5)
    made._training.open = Looping(made._training.open)
    with pytest.raises(ReadError, match=r"3 times not beside others; it takes fewer workers or"):
        list(epochs(made))


def test_a_worker_that_hands_over_a_batch_and_keeps_the_lock_is_no_hang(
    listed: DatasetInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = list(epochs(module(listed, None)))
    monkeypatch.setattr(deadline, "STUCK", 0.2)
    made = module(listed, 1.0)
    made._training.open = HandingOver(made._training.open, tmp_path / "looped")
    found = []
    for batch in epochs(made):
        if not found:
            time.sleep(2.5)  # by now the worker of the next batch is in its loop
        found.append(batch)
    assert (tmp_path / "looped").exists() and same(found, plain)
