"""What the workers of a loader read just now, in memory that they share with who waits for it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch.utils.data import get_worker_info

NANO = 10**9


class Read(NamedTuple):
    """A read that is going on: the process, the clip it is for as (epoch, index), and the video."""

    process: int
    epoch: int
    asked: int
    video: int  # its index: another one than was asked for stands in for one that is broken


class Reads:
    """A row for each worker of a loader.

    Args:
        workers: How many there are.
    """

    def __init__(self, workers: int) -> None:
        self._rows = torch.zeros((workers, 1 + len(Read._fields)), dtype=torch.int64)
        self._rows.share_memory_()

    @contextmanager
    def noted(self, clip: tuple[int, int], video: int) -> Iterator[None]:
        """Note a read while the block goes on; of a worker's main thread, of nobody else.

        Args:
            clip: (epoch, index) that it is for.
            video: Its index.
        """
        worker = get_worker_info()
        if worker is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        row = self._rows[worker.id].numpy()
        row[1:] = os.getpid(), *clip, video
        row[0] = time.monotonic_ns()  # last: from here on the row holds
        try:
            yield
        finally:
            row[0] = 0

    def late(self, seconds: float) -> list[Read]:
        """Return the reads that have gone on for longer."""
        latest = time.monotonic_ns() - seconds * NANO
        return [Read(*rest) for since, *rest in self._rows.tolist() if 0 < since < latest]
