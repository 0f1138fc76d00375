"""What runs at once that share their clips decode, beside one alone: real videos, no training.

Each run is a process with one loader worker, takes batch after batch and rests between them, the
fastest a third as long as the slowest. Time is that of the processor, of all processes together.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from datamodules.loading.clips import TrainingClips
from datamodules.loading.samplers import TrainingSampler
from datamodules.sharing.client import SharedClips
from datamodules.sharing.memory import slot_size
from datamodules.sharing.servers import clip_server
from datamodules.sharing.wire import Hello

BATCH = 4
THREEFOLD = 3.0  # how many times as long as the fastest the slowest rests
PACE = 0.5  # of what one worker decodes alone, that the slowest takes; the fastest takes 1.5


class Shared(NamedTuple):
    """What runs at once took.

    Attributes:
        decoded: How many times each clip was decoded.
        seconds: Of the processor, for each clip that a run got.
        alone: The same of a run alone.
    """

    decoded: float
    seconds: float
    alone: float


def measure(clips: TrainingClips, *, runs: int, epochs: int, window: float) -> Shared:
    """Let one run take all clips alone, then `runs` at once share them.

    Args:
        clips: That they take, at least `BATCH`.
        runs: How many at once.
        epochs: How often each takes all clips.
        window: Share of an epoch that is kept for all, in memory.
    """
    steps = len(clips) // BATCH
    alone, _ = _seconds(clips, [""], 1, [0.0])
    alone /= steps * BATCH
    place = slot_size(clips.frames, 3, clips.size, clips.size)
    rests = np.linspace(1, THREEFOLD, runs) * alone / (PACE * THREEFOLD)
    with clip_server(window * len(clips) * place) as address:
        took, decoded = _seconds(clips, [address] * runs, epochs, rests.tolist())
    distinct = epochs * steps * BATCH
    return Shared(decoded / distinct, took / (runs * distinct), alone)


def _seconds(
    clips: TrainingClips, addresses: Sequence[str], epochs: int, rests: Sequence[float]
) -> tuple[float, int]:
    """Return the processor's seconds that runs at once take, and how many clips they decode."""
    context, decoded = get_context("fork"), 0
    crew = []
    with _of_children() as taken:
        for number, (address, rest) in enumerate(zip(addresses, rests, strict=True)):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (theirs, clips, address, str(number), epochs, rest)
            process = context.Process(target=_run, args=arguments)
            process.start()
            theirs.close()
            crew.append((process, ours))
        for process, ours in crew:
            decoded += ours.recv()  # EOFError: it died
            process.join()
    return taken[0], decoded


@contextmanager
def _of_children() -> Iterator[list[float]]:
    """Give a list that holds what the children of the block took of the processor, behind it."""
    taken = list[float]()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield taken
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _run(
    connection: Connection, clips: TrainingClips, address: str, name: str, epochs: int, rest: float
) -> None:
    """Take all clips, resting for so many seconds a clip, and tell how many were decoded."""
    torch.set_num_threads(1)
    if address:
        hello = Hello(
            key="speed",
            run=name,
            lends=False,
            seed=clips.seed,
            videos=len(clips),
            used=len(clips) // BATCH * BATCH,
            epochs=epochs,
            slack=4 * BATCH,
            size=slot_size(clips.frames, 3, clips.size, clips.size),
        )
        clips.share = SharedClips(address, hello)
    sampler = TrainingSampler(clips, seed=clips.seed, batch=BATCH, world=1, rank=0)
    loader = DataLoader(clips, BATCH, sampler=sampler, num_workers=1, persistent_workers=True)
    decoded = 0
    for epoch in range(epochs):
        sampler.epoch = epoch
        for batch in loader:
            decoded += int(batch.get("decoded", torch.ones(BATCH)).sum())
            time.sleep(rest * BATCH)
    connection.send(decoded)
