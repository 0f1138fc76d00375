"""Loader workers that read with a deadline: what misses it is told, and read once more on its own.

A worker notes what it reads, and since when. A rank that waits for clips and finds a read past its
deadline names the video and kills the worker; torch cannot replace one, so the others of the loader
end with it. Then one process reads the same clip again, with no other at work for this rank:

- It is done in time: there was too much at work. After `CROWDED` times of one video the run ends.
- Its bytes come, but it is not decoded in time: it is broken, as a damaged one is.
- No bytes come for as long: that is no fault of the video's, which is asked for again after growing
  pauses. At last the run ends, as with any I/O error (`decoding/reading.py`).

The loader begins anew at the batch that is awaited. A clip depends on its key alone, and the
sampler knows their order: what was missed changes nothing in what comes.

A batch is handed over by a thread of its worker. Where C code keeps Python's lock from that thread
the rank waits in a call that knows no time-out: there another thread looks, and kills.

Where there are no workers nothing can be given up: whoever watches the run says that it stalls.
"""

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from torch.utils.data import DataLoader, Dataset

from datamodules.decoding.reading import PAUSES, demand_readable
from datamodules.decoding.video import ReadError
from datamodules.loading.cache import Cache
from datamodules.loading.clips import AllViews, Item, TrainingClips
from datamodules.loading.reads import Read, Reads

LOOK = 1.0  # seconds between two looks at what the workers read, while a rank waits
CROWDED = 3  # times that a video may miss its deadline beside others and not on its own
DYING = 1.0  # seconds that what was killed is waited for: what a disk holds stays
STUCK = 5.0  # seconds after a deadline in which a rank that can look for itself has done so

logger = logging.getLogger(__name__)


class _Found(Enum):
    """How a video is read on its own."""

    IN_TIME = 0
    UNDECODED = 1
    SILENT = 2


class _Missed(Exception):
    """Reads that have missed their deadline."""

    def __init__(self, reads: list[Read]) -> None:
        self.reads = reads


class _Since:
    """Since when a rank waits in a call, and what another thread killed meanwhile."""

    def __init__(self) -> None:
        self.killed: list[Read] = []
        self._began: float | None = None
        self._lock = threading.Lock()

    @contextmanager
    def now(self) -> Iterator[None]:
        """Say that this thread waits while the block goes on."""
        with self._lock:
            self._began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._began = None

    @contextmanager
    def stuck(self, seconds: float) -> Iterator[bool]:
        """Tell whether the other thread has waited for longer; it goes on waiting in the block."""
        with self._lock:
            yield self._began is not None and time.monotonic() - self._began > seconds


class DeadlineLoader(DataLoader[Item]):
    """A DataLoader whose reads have a deadline. Lightning does for one what it does for no other.

    Args:
        dataset: What is loaded.
        clips: What reads the videos: the dataset, or what is beneath it.
        seconds: That a read may take.
        rank: Who waits for it, for messages.
        options: Of DataLoader: at least one worker, and a sampler with an attribute `left_out`.
    """

    def __init__(
        self,
        dataset: Dataset[Item],
        clips: TrainingClips | AllViews,
        *,
        seconds: float,
        rank: int,
        **options: Any,
    ) -> None:
        super().__init__(dataset, timeout=min(LOOK, seconds / 4), **options)
        self.clips, self.seconds, self.rank = clips, seconds, rank
        self._crowded = Counter[int]()
        self._since = _Since()
        clips.reads = Reads(self.num_workers)

    def __iter__(self) -> Iterator[Item]:  # type: ignore[override]  # whose type is private
        done = 0
        while True:
            batches = self._begin(done)
            try:
                with self._watched():
                    while (batch := self._awaited(batches)) is not None:
                        yield batch
                        done += 1
                return
            except _Missed as missed:
                self._end(batches, missed.reads)
                for read in missed.reads:
                    self._read_again(read)

    def _begin(self, done: int) -> Any:
        """Return the batches after the first `done`: their sampler begins at once."""
        sampler: Any = self.sampler
        sampler.left_out = done * (self.batch_size or 1)
        try:
            return super().__iter__()
        finally:
            sampler.left_out = 0

    def _awaited(self, batches: Any) -> Item | None:
        """Return the next batch, None after the last one.

        Raises:
            _Missed: It does not come, and there are reads past their deadline.
        """
        while True:
            try:
                with self._since.now():
                    return next(batches, None)
            except (RuntimeError, EOFError, ConnectionError) as error:
                if self._since.killed:
                    with suppress(RuntimeError):  # of torch's handler, which may come only now
                        time.sleep(DYING)
                    raise _Missed(self._since.killed) from None
                if not str(error).startswith("DataLoader timed out"):
                    raise
            if reads := self._late():
                raise _Missed(reads)
            pinning = getattr(batches, "_pin_memory_thread", None)
            if pinning is not None and not pinning.is_alive():
                raise RuntimeError("the thread that pins memory has ended")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Have a thread kill the workers that are late while this one is stuck in a call."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(LOOK):
                with self._since.stuck(self.seconds + STUCK) as stuck:
                    if stuck and not self._since.killed:
                        self._since.killed = self._late()
                        for read in self._since.killed:
                            with suppress(ProcessLookupError):
                                os.kill(read.process, signal.SIGKILL)

        self._since.killed = []
        watcher = threading.Thread(target=watch, name="deadline", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _late(self) -> list[Read]:
        return self.clips.reads.late(self.seconds) if self.clips.reads else []

    def _end(self, batches: Any, reads: list[Read]) -> None:
        """Kill the workers of some reads, and end the others."""
        for read in reads:
            logger.warning(
                f"rank {self.rank}: {self._path(read)}: not read within {self.seconds:g} s; its "
                f"loader worker (process {read.process}) is replaced, and it is read again on its "
                "own"
            )
        killing = [read.process for read in reads]
        while killing:  # torch's handler, which hears that a worker died, raises anywhere below
            with suppress(RuntimeError):
                with suppress(ProcessLookupError):
                    os.kill(killing[-1], signal.SIGKILL)
                killing.pop()
        with suppress(RuntimeError):
            for _ in range(100):
                time.sleep(DYING / 100)
        batches._shutdown_workers()
        self._iterator = None
        self.clips.reads = Reads(self.num_workers)

    def _read_again(self, read: Read) -> None:
        """Read a video on its own, till it is known what to make of it.

        Raises:
            ReadError: It does not answer, or not beside others.
        """
        path, pauses = self._path(read), list(PAUSES)
        while (found := self._on_its_own(read)) is _Found.SILENT:
            if not pauses:
                tries = f"asked {len(PAUSES) + 2} times for {self.seconds:g} s"
                raise ReadError(f"{path}: it does not answer, {tries}")
            time.sleep(pauses.pop(0))
        if found is _Found.UNDECODED:
            reason = f"not decoded within {self.seconds:g} s, twice"
            self.clips.given_up |= {read.video: reason}
            logger.warning(f"rank {self.rank}: {path}: {reason}; it counts as broken")
            return
        logger.warning(f"rank {self.rank}: {path}: read in time on its own")
        self._crowded[read.video] += 1
        if self._crowded[read.video] == CROWDED:
            raise ReadError(
                f"{path}: read within {self.seconds:g} s on its own, but {CROWDED} times not "
                "beside others; it takes fewer workers or more patience"
            )

    def _on_its_own(self, read: Read) -> _Found:
        """Read a video once, in a process of its own."""
        context: Any = self.multiprocessing_context or get_context()
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_read, args=(self.clips, read, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            bytes_came = False
            while ours.poll(self.seconds):
                if (said := ours.recv()) is None:
                    return _Found.IN_TIME
                bytes_came |= said
            return _Found.UNDECODED if bytes_came else _Found.SILENT
        except EOFError:  # it crashed: whoever reads it next will, too, and say so
            return _Found.IN_TIME
        finally:
            process.kill()
            process.join(DYING)

    def _path(self, read: Read) -> str:
        return self.clips.split.path(read.video)


def _read(clips: TrainingClips | AllViews, read: Read, told: Connection) -> None:
    """Read a clip again, for nothing; tell each block of its bytes, when that is all, and the end.

    What is wrong with it, if anything is, a loader worker will say.
    """
    with suppress(Exception):
        demand_readable(clips.split.path(read.video), pipes=True, each=lambda: told.send(False))
        told.send(not isinstance(clips.open, Cache))  # nothing decodes what comes from a cache
        if isinstance(clips, TrainingClips):
            clips.make((read.epoch, read.asked))
        else:
            clips.views_of(read.asked)
    told.send(None)
