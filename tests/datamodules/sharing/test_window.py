"""Who waits and who decodes, by a clock of our own: eight runs, the fastest threefold."""

import heapq
import itertools
from collections import Counter

import numpy as np
import pytest

from datamodules.sharing.rates import Level, Rate, fair_share
from datamodules.sharing.window import PATIENCE, Answer, Kind, Order, Window

SPEEDS = np.linspace(20, 60, 8)  # clips a second that each run would train on


class Machine:
    """Runs with two workers each that load up to `AHEAD` clips ahead, and cores that decode.

    Whoever wants to decode gets a core when it is his turn.
    """

    BUFFER = 4

    def __init__(self, speeds, *, cores, seconds, videos=400, epochs=2, share=True, slots=40):
        self.now, self.events, self.ticket = 0.0, [], itertools.count()
        self.speeds, self.seconds, self.total = speeds, seconds, videos * epochs
        self.free, self.queue = cores, []
        self.decoded, self.finished = Counter(), {}
        self.order = Order(0, videos, videos, epochs)
        self.window = Window(self.order, slots, cores=cores, now=0.0) if share else None
        self.asked = [0] * len(speeds)  # the next position
        self.buffer, self.trained = [0] * len(speeds), [0] * len(speeds)
        self.hungry = [True] * len(speeds)  # waits for a clip
        self.idle = [2] * len(speeds)  # workers with nothing to do
        self.blocked = []  # run, position, since
        self.lenders = 2 * len(speeds)  # idle ones
        self.polling = False
        for run in range(len(speeds)):
            for _ in range(2 if share else 0):
                self.window.join(str(run), slack=8, now=0.0)

    def at(self, seconds, what, *arguments):
        heapq.heappush(self.events, (self.now + seconds, next(self.ticket), what, arguments))

    def run(self):
        self.step()
        while self.events:
            self.now, _, what, arguments = heapq.heappop(self.events)
            what(*arguments)
            self.step()
        assert len(self.finished) == len(self.speeds), "they wait for each other"
        return self

    def step(self):
        """Let everybody do what he can."""
        for run in range(len(self.speeds)):
            loading = 2 - self.idle[run]
            while (
                self.idle[run]
                and self.asked[run] < self.total
                and self.buffer[run] + loading < self.BUFFER
            ):
                self.idle[run] -= 1
                loading += 1
                self.blocked.append((run, self.asked[run], self.now))
                self.asked[run] += 1
                if self.window:
                    self.window.runs[str(run)].waiting.add(1, self.now)
        if not self.window:
            for run, position, _ in self.blocked:
                self.decode(position, self.got, run)
            self.blocked = []
        else:
            self.serve()
        while self.free and self.queue:
            self.free -= 1
            self.at(self.seconds, *self.queue.pop(0))
        for run, hungry in enumerate(self.hungry):
            if hungry and self.buffer[run]:
                self.buffer[run] -= 1
                self.hungry[run] = False
                self.at(1 / self.speeds[run], self.train, run)

    def serve(self):
        waiting = []
        for run, position, since in sorted(self.blocked, key=lambda each: each[2]):
            answer = self.window.ask(str(run), position, self.now - since, self.now)
            if answer is None:
                waiting.append((run, position, since))
            elif answer.kind == Kind.HAVE:
                self.window.unpin(answer.slot)
                self.got(run)
            else:
                self.decode(position, self.shared, run, position, answer.slot)
        self.blocked = waiting
        if waiting and not self.polling:
            self.polling = True
            self.at(0.05, self.poll)
        while self.lenders and (task := self.window.task(self.now)):
            self.lenders -= 1
            self.decode(task[0], self.lent, *task)

    def poll(self):
        self.polling = False

    def decode(self, position, what, *arguments):
        self.decoded[position] += 1
        self.queue.append((self.decode_end, what, arguments))

    def decode_end(self, what, arguments):
        self.free += 1
        what(*arguments)

    def shared(self, run, position, slot):
        self.window.done(position, slot, self.now, str(run))
        self.got(run)

    def lent(self, position, slot):
        self.lenders += 1
        self.window.done(position, slot, self.now)

    def got(self, run):
        self.idle[run] += 1
        self.buffer[run] += 1
        if self.window:
            self.window.runs[str(run)].waiting.add(-1, self.now)

    def train(self, run):
        self.trained[run] += 1
        self.hungry[run] = True
        if self.trained[run] == self.total:
            self.finished[run] = self.now
            self.hungry[run] = False
            for _ in range(2 if self.window else 0):
                self.window.leave(str(run))

    @property
    def ratio(self):
        return self.decoded.total() / len(self.decoded)


# What decoders manage, as a multiple of what the slowest run trains on; the fastest run wants 3 x.
@pytest.mark.slow
@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_while_decoding_is_the_bottleneck_a_clip_is_decoded_about_once(capacity):
    machine = Machine(SPEEDS, cores=16, seconds=16 / capacity / SPEEDS[0]).run()
    assert len(machine.decoded) == machine.total and machine.ratio <= 1.3


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [2, 6, 12, 24])
def test_no_run_is_slower_than_alone(capacity):
    how = {"cores": 16, "seconds": 16 / capacity / SPEEDS[0]}
    alone, shared = (Machine(SPEEDS, **how, share=each).run() for each in (False, True))
    assert alone.ratio == len(SPEEDS)
    for run, ended in alone.finished.items():
        assert shared.finished[run] <= 1.03 * ended
    if capacity < SPEEDS.sum() / SPEEDS[0]:  # what they would decode, were there no server
        assert sum(shared.finished.values()) < 0.95 * sum(alone.finished.values())


def window(slots=4, videos=100, **how):
    made = Window(Order(0, videos, videos, 2), slots, cores=4, now=0.0, **how)
    for name in "ab":
        made.join(name, slack=4, now=0.0)
    return made


def test_positions_follow_the_order_in_which_clips_are_trained_on():
    order = Order(7, 10, 8, 3)
    for position in range(20):
        assert order.position(*order.clip(position)) == position
    assert [order.clip(position)[0] for position in (9, 10)] == [0, 1]
    assert not order.is_trained_on(8) and order.is_trained_on(10)  # fill no last step; epoch 1
    assert not order.is_trained_on(30)


def test_one_decodes_and_the_other_waits_and_has_it():
    w = window()
    kind, slot = w.ask("a", 0, 0.0, 0.0)
    assert kind == Kind.DECODE and w.ask("b", 0, 0.0, 0.1) is None
    w.done(0, slot, 1.0, "a")
    assert w.ask("b", 0, 0.9, 1.0) == Answer(Kind.HAVE, slot)


def test_who_has_waited_long_enough_decodes_for_himself():
    w = window()
    w.ask("a", 0, 0.0, 0.0)
    assert w.ask("b", 0, PATIENCE - 0.1, 9.9) is None
    assert w.ask("b", 0, PATIENCE, 10.0) == Answer(Kind.ALONE)


def test_a_video_that_failed_is_everybodys_own_affair():
    w = window()
    _, slot = w.ask("a", 0, 0.0, 0.0)
    w.dropped(0, slot, 1.0, failed=True)
    assert w.ask("b", 0, 0.0, 1.0) == Answer(Kind.ALONE)
    assert w.kept == 0


def test_what_was_given_up_is_decoded_by_the_next_who_asks():
    w = window()
    _, slot = w.ask("a", 0, 0.0, 0.0)
    w.dropped(0, slot, 1.0, failed=False)  # its worker was killed
    assert w.ask("b", 0, 0.0, 1.0).kind == Kind.DECODE


def filled(**how):
    """Return a window that is full of what `a` decoded and `b` has not come to."""
    w = window(**how)
    for position in range(4):
        kind, slot = w.ask("a", position, 0.0, 0.1 * position)
        assert kind == Kind.DECODE
        w.done(position, slot, 0.1 * position + 2, "a")
    return w


def test_who_is_ahead_waits_for_others_where_cores_are_short():
    w = filled(load=lambda: 1.0)
    assert w.ask("a", 4, 0.0, 2.5) is None
    assert w.ask("a", 4, PATIENCE, 12.5).kind in (Kind.DECODE, Kind.ALONE)


def test_it_goes_on_where_the_others_are_gone():
    w = filled(load=lambda: 1.0)
    w.leave("b")
    assert w.ask("a", 4, 0.0, 2.5) == Answer(Kind.ALONE)


def test_clips_make_room_once_everybody_had_them():
    w = filled(load=lambda: 1.0)
    for position in range(4):
        kind, slot = w.ask("b", position, 0.0, 0.5)
        assert kind == Kind.HAVE
        w.unpin(slot)
    assert w.ask("a", 4, 0.0, 0.6).kind == Kind.DECODE
    assert w.kept == 0


def test_what_is_being_read_stays():
    w = filled()
    for position in range(4):
        w.ask("b", position, 0.0, 0.5)  # nobody has told that it is read
    assert w.ask("a", 4, PATIENCE, 12.0) == Answer(Kind.ALONE)
    assert w.kept == 4


def test_who_lends_decodes_what_comes_next():
    w = window(slots=8)
    _, first = w.ask("a", 0, 0.0, 0.0)
    ahead = [w.task(0.0) for _ in range(4)]
    assert [position for position, _ in ahead] == [1, 2, 3, 4]
    assert len({first, *(slot for _, slot in ahead)}) == 5
    assert w.task(0.0) is None  # half a window ahead is enough
    w.leave("b")
    w.ask("a", 1, 0.0, 0.0)
    assert w.task(0.0) is None  # alone, a run's own workers do


def test_rates_are_those_of_late():
    rate, level = Rate(0.0), Level(0.0)
    for tick in range(400):
        rate.add(tick / 10)
        level.add(1 if tick == 200 else 0, tick / 10)
    assert rate.at(40.0) == pytest.approx(10, rel=0.02)
    assert level.at(40.0) == pytest.approx(1 - np.exp(-2), abs=0.03)
    assert rate.at(200.0) < 1e-5


def test_a_fair_share_is_what_the_modest_leave():
    assert fair_share([1, 2, np.inf, np.inf], 11) == 4
    assert fair_share([1, 2], 3) == np.inf
    assert fair_share([np.inf] * 4, 2) == 0.5
