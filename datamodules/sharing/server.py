"""The process that keeps clips for several runs: `python -m datamodules.sharing.server`.

It decodes nothing and never sees a picture: workers of the runs do, and write what they decoded
where it tells them. It has the clips of one key at a time: that of whoever comes first while nobody
else is there. It ends with whoever started it, and takes its folder along.
"""

import os
import selectors
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from datamodules.sharing.memory import affordable, anonymous
from datamodules.sharing.window import Answer, Kind, Order, Window
from datamodules.sharing.wire import (
    LONGEST,
    Hello,
    Packet,
    Word,
    hello_of,
    packed,
    unpacked,
)

TICK = 0.05  # seconds after which those that wait are looked at again
FEWEST = 8  # clips, below which nothing is kept
LOOK = 1.0  # seconds between two looks at how busy the machine is


@dataclass(eq=False)
class _Worker:
    """What is at the other end of a connection; numbers are positions and slots."""

    socket: socket.socket
    hello: Hello | None = None
    asked: tuple[int, float] | None = None  # since when
    decoding: tuple[int, int] | None = None
    reading: int | None = None


class _Load:
    """How busy the machine's cores are, whatever with (Linux)."""

    def __init__(self) -> None:
        self._seen, self._then, self._share = (0, 0), 0.0, 0.0

    def __call__(self) -> float:
        if time.monotonic() - self._then < LOOK:
            return self._share
        with open("/proc/stat") as file:
            ticks = [int(each) for each in file.readline().split()[1:9]]
        idle, whole = ticks[3] + ticks[4], sum(ticks)
        since = whole - self._seen[1]
        if since > 0:
            self._share = 1 - (idle - self._seen[0]) / since
        self._seen, self._then = (idle, whole), time.monotonic()
        return self._share


class Server:
    """Clips of several runs.

    Args:
        listener: Where workers of the runs come.
        size: Bytes that the clips may take; never more than half of what is free.
        alive: A descriptor that can be read when the server has to end.
    """

    def __init__(self, listener: socket.socket, size: int, alive: int) -> None:
        self.size, self.key = size, ""
        self._listener, self._alive = listener, alive
        self._selector = selectors.DefaultSelector()
        self._workers: set[_Worker] = set()
        self._window: Window | None = None
        self._memory: int | None = None
        self._slot = 0  # bytes
        self._load = _Load()

    def serve(self) -> None:
        """Serve until whoever started this process ends, or says so."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._alive, selectors.EVENT_READ)
        while True:
            waiting = any(each.asked for each in self._workers)
            for key, _ in self._selector.select(TICK if waiting else None):
                if key.fileobj == self._alive:
                    return
                if key.data is None:
                    self._accept()
                else:
                    self._hear(key.data)
            self._answer()
            self._lend()

    def _accept(self) -> None:
        try:
            made, _ = self._listener.accept()
        except OSError:
            return
        made.setblocking(False)
        worker = _Worker(made)
        self._workers.add(worker)
        self._selector.register(made, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            data = worker.socket.recv(LONGEST)
            if not data:
                raise ConnectionError
            if worker.hello is None:
                self._greet(worker, hello_of(data))
            else:
                self._obey(worker, unpacked(data))
        except (OSError, ValueError, TypeError, KeyError):
            self._forget(worker)

    def _greet(self, worker: _Worker, hello: Hello) -> None:
        window = self._window
        if window is None or not window.runs:
            window = self._window = self._open(hello)
        others = len(window.runs) - (hello.run in window.runs) if window else 0
        if window is None or hello.key != self.key or self._memory is None or others > 63:
            worker.socket.send(packed(Word.REFUSED))
            raise ConnectionError
        window.order.used = max(window.order.used, hello.used)
        window.order.epochs = max(window.order.epochs, hello.epochs)
        welcome = [packed(Word.WELCOME, self._slot)]
        socket.send_fds(worker.socket, welcome, [self._memory])
        if not hello.lends:
            window.join(hello.run, slack=hello.slack, now=time.monotonic())
        worker.hello = hello

    def _open(self, hello: Hello) -> Window | None:
        """Return a window of the clips that a run wants, or None where there is no memory."""
        if self._window is not None and self.key == hello.key:
            return self._window
        for worker in [each for each in self._workers if each.hello]:  # that only lend
            self._forget(worker)
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None
        slots = min(affordable(self.size) // hello.size, hello.videos * hello.epochs)
        if slots < FEWEST:
            return None
        self._memory, self._slot, self.key = anonymous(slots * hello.size), hello.size, hello.key
        order = Order(hello.seed, hello.videos, hello.used, hello.epochs)
        cores = len(os.sched_getaffinity(0))
        return Window(order, slots, cores=cores, now=time.monotonic(), load=self._load)

    def _obey(self, worker: _Worker, packet: Packet) -> None:
        window, hello = self._window, worker.hello
        assert window is not None and hello is not None
        now = time.monotonic()
        if worker.reading is not None:
            window.unpin(worker.reading)
            worker.reading = None
        if packet.word == Word.ASK and not hello.lends:
            position = window.order.position(packet.numbers[0], packet.numbers[1])
            window.runs[hello.run].waiting.add(1, now)
            worker.asked = position, now
        elif worker.decoding is not None:
            position, slot = worker.decoding
            worker.decoding = None
            if packet.word == Word.DONE:
                window.done(position, slot, now, None if hello.lends else hello.run)
            else:
                window.dropped(position, slot, now, failed=packet.word == Word.FAILED)
            if not hello.lends:
                window.runs[hello.run].waiting.add(-1, now)

    def _forget(self, worker: _Worker) -> None:
        """Take leave of a worker that is gone, whatever it was at."""
        self._workers.discard(worker)
        self._selector.unregister(worker.socket)
        worker.socket.close()
        window, hello = self._window, worker.hello
        if window is None or hello is None:
            return
        now = time.monotonic()
        if worker.reading is not None:
            window.unpin(worker.reading)
        if worker.decoding is not None:
            window.dropped(*worker.decoding, now, failed=False)
        if not hello.lends:
            if worker.asked or worker.decoding:
                window.runs[hello.run].waiting.add(-1, now)
            window.leave(hello.run)

    def _answer(self) -> None:
        """Answer those that need not wait, in the order in which they asked."""
        waiting = [each for each in self._workers if each.asked]
        for worker in sorted(waiting, key=lambda each: each.asked[1] if each.asked else 0):
            window, hello = self._window, worker.hello
            assert window is not None and hello is not None and worker.asked is not None
            (position, since), now = worker.asked, time.monotonic()
            answer = window.ask(hello.run, position, now - since, now)
            if answer is None:
                continue
            worker.asked = None
            self._tell(worker, position, answer)

    def _tell(self, worker: _Worker, position: int, answer: Answer) -> None:
        assert self._window is not None and worker.hello is not None
        if answer.kind == Kind.HAVE:
            worker.reading = answer.slot
            self._window.runs[worker.hello.run].waiting.add(-1, time.monotonic())
            self._send(worker, packed(Word.HAVE, answer.slot))
        else:
            worker.decoding = position, answer.slot
            self._send(worker, packed(Word.DECODE, answer.slot))

    def _lend(self) -> None:
        """Let those that lend their time decode what will be asked for."""
        window = self._window
        if window is None:
            return
        for worker in [*self._workers]:
            if worker.hello is None or not worker.hello.lends or worker.decoding:
                continue
            task = window.task(time.monotonic())
            if task is None:
                return
            worker.decoding = task
            self._send(worker, packed(Word.TASK, *window.order.clip(task[0]), task[1]))

    def _send(self, worker: _Worker, data: bytes) -> None:
        try:
            worker.socket.send(data)
        except OSError:
            self._forget(worker)


def main(listener: str, folder: str, size: str) -> None:
    """Serve at a listening socket's descriptor until standard input ends."""
    try:
        with socket.socket(fileno=int(listener)) as made:
            Server(made, int(size), sys.stdin.fileno()).serve()
    finally:
        shutil.rmtree(Path(folder), ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
