"""Which clips are kept, for whom, and who waits: what a clip server decides, without any socket.

Positions count training clips in the order in which they are trained on, epoch after epoch. A run
wants a clip that is ahead of the furthest it asked for, by no more than the window has places, or
that it left out shortly before. What nobody wants makes room.

Where there is no room left, whoever asks first for a clip is ahead of the others, and what it
decodes now, the others will decode again. So it waits for them, unless

- decoders are idle enough to do that as well, at nobody's cost, or
- it has become slower than it would be alone, or has waited for this clip as long as anyone may.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.loading.order import training_order
from datamodules.sharing.rates import Level, Rate, fair_share

PATIENCE = 10.0  # seconds that a run waits for one clip, at most
IDLE = 0.5  # share of the decoders that is busy at most where clips are decoded twice for nothing
AHEAD = 0.5  # of the window, that is decoded before anyone asks for it
NOBODY = 2**62  # how far the nearest run is that wants a clip which nobody wants
ORDERS = 4  # epochs whose order is kept
SCAN = 0.02  # seconds between two looks at all slots, at least
PART = 64  # of the window makes room at once


class Kind(IntEnum):
    """What a run is answered."""

    HAVE = 1  # the clip lies in a slot
    DECODE = 2  # decode it, into a slot for the others
    ALONE = 3  # decode it, for yourself


class Answer(NamedTuple):
    """What a run is answered, and the slot that is meant."""

    kind: Kind
    slot: int = -1


@dataclass
class Run:
    """A run that shares.

    Attributes:
        slack: How many positions it may ask for later than for those that follow.
        taken: Clips a second that it gets.
        waiting: How many of its workers wait for a clip, or decode one.
        workers: How many it has.
        front: The furthest position it has asked for.
        bit: Of the clips it had.
    """

    slack: int
    bit: int
    taken: Rate
    waiting: Level
    workers: int = 0
    front: int = -1


@dataclass
class Order:
    """Positions of the clips of a training split of `videos`, of which an epoch takes `used`."""

    seed: int
    videos: int
    used: int
    epochs: int
    _known: OrderedDict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(
        default_factory=OrderedDict
    )

    def position(self, epoch: int, index: int) -> int:
        """Return where a clip stands."""
        return epoch * self.videos + int(self._epoch(epoch)[1][index])

    def clip(self, position: int) -> tuple[int, int]:
        """Return the epoch and the index of the clip at a position."""
        epoch, rank = divmod(position, self.videos)
        return epoch, int(self._epoch(epoch)[0][rank])

    def is_trained_on(self, position: int) -> bool:
        """Return whether a position is one of those that a run asks for."""
        epoch, rank = divmod(position, self.videos)
        return epoch < self.epochs and rank < self.used

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if epoch not in self._known:
            order = training_order(self.seed, epoch, self.videos)
            self._known[epoch] = order, np.argsort(order)
            while len(self._known) > ORDERS:
                self._known.popitem(last=False)
        return self._known[epoch]


class Window:
    """The clips of one key that are kept, and the runs that want them.

    Args:
        order: Of the clips.
        slots: How many clips are kept at once.
        cores: That decode, however many workers there are.
        now: What the clock says, in seconds.
        load: Share of the machine's cores that is busy, whatever with.
    """

    def __init__(
        self,
        order: Order,
        slots: int,
        *,
        cores: int,
        now: float,
        load: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.order, self.slots, self.cores, self.load = order, slots, cores, load
        self.runs: dict[str, Run] = {}
        self._place: dict[int, int] = {}  # position -> slot, once it is there
        self._decoding: dict[int, tuple[int, float]] = {}  # position -> slot, since when
        self._failed: set[int] = set()
        self._free = list(range(slots))
        self._position = np.full(slots, -1, np.int64)  # of each slot; -1: nothing is in it
        self._had = np.zeros(slots, np.uint64)  # bits of the runs that had it
        self._pins = np.zeros(slots, np.int64)  # how many are reading it
        self._busy = Level(now)
        self._seconds = 0.0  # that a clip takes to decode
        self._scanned = -SCAN  # when it was last looked for clips that nobody wants
        self._next = 0  # the first position that may have to be decoded ahead

    def join(self, name: str, *, slack: int, now: float) -> None:
        """Add a worker of a run, and the run with its first; there is room for 64 at once."""
        if name not in self.runs:
            taken = {run.bit for run in self.runs.values()}
            bit = next(1 << each for each in range(64) if 1 << each not in taken)
            self._had &= np.uint64(~bit & (2**64 - 1))
            self.runs[name] = Run(slack, bit, Rate(now), Level(now))
        self.runs[name].workers += 1

    def leave(self, name: str) -> None:
        """Take away a worker of a run, and with the last one the run."""
        self.runs[name].workers -= 1
        if not self.runs[name].workers:
            del self.runs[name]

    def ask(self, name: str, position: int, waited: float, now: float) -> Answer | None:
        """Return what to tell a run that asks for a clip, or None: it waits, and asks again.

        Args:
            name: The run.
            position: Of the clip.
            waited: Seconds since it first asked.
            now: What the clock says.
        """
        run = self.runs[name]
        run.front = max(run.front, position)
        if position in self._place:
            slot = self._place[position]
            self._pins[slot] += 1
            self._took(run, slot, now)
            return Answer(Kind.HAVE, slot)
        impatient = waited >= PATIENCE
        if position in self._decoding and not impatient:
            return None
        if position in self._failed or position in self._decoding:
            return self._decode(run, position, -1, now)
        place = self._slot(run, position, impatient, now)
        return None if place is None else self._decode(run, position, place, now)

    def task(self, now: float) -> tuple[int, int] | None:
        """Return position and slot of a clip that somebody idle should decode ahead, if any."""
        if len(self.runs) < 2:
            return None
        foremost = max(self.runs.values(), key=lambda run: run.front)
        first = max(self._next, foremost.front + 1)
        last = foremost.front + max(1, int(AHEAD * self.slots))
        for position in range(first, last + 1):
            self._next = position
            known = position in self._place or position in self._decoding
            if known or position in self._failed or not self.order.is_trained_on(position):
                continue
            slot = self._slot(foremost, position, False, now)
            if slot is None or slot < 0:
                return None
            self._next = position + 1
            self._start(position, slot, now)
            return position, slot
        return None

    def done(self, position: int, slot: int, now: float, name: str | None = None) -> None:
        """Note that a clip has been decoded, into `slot` (-1: none), by the run that asked."""
        self._busy.add(-1, now)
        if slot >= 0:
            since = self._decoding.pop(position)[1]
            self._seconds += (now - since - self._seconds) * (0.1 if self._seconds else 1)
            self._place[position] = slot
            self._position[slot], self._had[slot] = position, 0
        if name in self.runs:
            self._took(self.runs[name], slot, now)

    def dropped(self, position: int, slot: int, now: float, *, failed: bool) -> None:
        """Note that a clip has not been decoded; one whose video failed is not tried again here."""
        self._busy.add(-1, now)
        if failed:
            self._failed.add(position)
        if slot >= 0:
            del self._decoding[position]
            self._free.append(slot)

    def unpin(self, slot: int) -> None:
        """Note that somebody has read what he was told he may have."""
        self._pins[slot] -= 1

    @property
    def kept(self) -> int:
        """How many clips are there to be had."""
        return len(self._place)

    def _decode(self, run: Run, position: int, slot: int, now: float) -> Answer:
        if slot < 0:
            self._busy.add(1, now)
            return Answer(Kind.ALONE)
        self._start(position, slot, now)
        return Answer(Kind.DECODE, slot)

    def _start(self, position: int, slot: int, now: float) -> None:
        self._busy.add(1, now)
        self._decoding[position] = slot, now

    def _took(self, run: Run, slot: int, now: float) -> None:
        run.taken.add(now)
        if slot >= 0:
            self._had[slot] |= np.uint64(run.bit)

    def _slot(self, run: Run, position: int, impatient: bool, now: float) -> int | None:
        """Return where a clip is to lie, -1 if nowhere, or None: `run` should wait for others."""
        reach = run.front - self.slots - run.slack
        behind = [
            position - each.front for each in self.runs.values() if reach <= each.front < position
        ]
        slot = self._room(bool(behind), now)
        if slot >= 0 or not behind:
            return slot
        if not impatient and self._waits(run, now):
            return None
        return self._evict(min(behind))

    def _room(self, wanted: bool, now: float) -> int:
        """Return a slot that is free, or whose clip nobody wants if this one is wanted; or -1."""
        if not self._free and wanted and now - self._scanned >= SCAN:
            self._scanned = now
            for slot in np.flatnonzero(self._distances() == NOBODY).tolist():
                self._clear(slot)
        return self._free.pop() if self._free else -1

    def _evict(self, distance: int) -> int:
        """Return the slot of a clip that is wanted later than in `distance` positions, or -1."""
        distances = self._distances()
        for slot in np.argsort(-distances)[: -(-self.slots // PART)].tolist():
            if distances[slot] > distance:
                self._clear(slot)
        return self._free.pop() if self._free else -1

    def _clear(self, slot: int) -> None:
        del self._place[int(self._position[slot])]
        self._position[slot] = -1
        self._free.append(slot)

    def _distances(self) -> NDArray[np.int64]:
        """Return how far before the clip in each slot the next run is that wants it (S,).

        `NOBODY`, where none does; -1 of what cannot be taken away.
        """
        found = np.full(self.slots, NOBODY, np.int64)
        for run in self.runs.values():
            gap = self._position - run.front
            wanted = (gap > -run.slack) & (gap <= self.slots)
            wanted &= (self._had & np.uint64(run.bit)) == 0
            found = np.where(wanted, np.minimum(found, np.maximum(gap, 0)), found)
        return np.where((self._position < 0) | (self._pins > 0), -1, found)

    def _waits(self, run: Run, now: float) -> bool:
        """Return whether a run that is ahead should wait for those that it is about to lose."""
        decoders = min(self.cores, sum(each.workers for each in self.runs.values()))
        if not self._seconds:
            return False
        capacity = decoders / self._seconds  # clips a second
        far, last = run.front - self.slots / 4, run.front - self.slots - run.slack
        losers = [each for each in self.runs.values() if last <= each.front < far]
        again = sum(each.taken.at(now) for each in losers) / capacity
        if max(self._busy.at(now) / decoders, self.load()) + again <= IDLE:
            return False
        demands = [
            np.inf if each is run or each.waiting.at(now) > each.workers / 2 else each.taken.at(now)
            for each in self.runs.values()
        ]
        alone = min(fair_share(demands, capacity), run.workers / self._seconds)
        return run.taken.at(now) >= alone
