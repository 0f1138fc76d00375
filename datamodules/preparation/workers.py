"""Work on many items in processes of their own, whose death is the affair of one item only."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Generic, TypeVar

Result = TypeVar("Result")
Outcome = tuple[str, Result | None, str | None]  # item, what came of it, or why nothing did

READER = "datamodules.decoding.open"  # with it come torch and FFmpeg
LIVES = 2  # workers that an item may take: the first may have died of its neighbours (memory)


class WorkerError(Exception):
    """A worker ended for no reason of its item's."""


def map_in_processes(
    work: Callable[[str], Result], items: Sequence[str], *, workers: int, patience: float
) -> Iterator[Outcome[Result]]:
    """Yield what `work` makes of every item, in the order in which it is done.

    Args:
        work: What is done; it can be imported by name, and raises nothing.
        items: What it is done to.
        workers: Processes, each with one item in hand.
        patience: Seconds after which an item is given up, and its worker with it.

    Raises:
        WorkerError: A worker ended by itself.
    """
    context = get_context("forkserver")  # this process may have threads: they do not survive a fork
    # Imported once, not by every worker, and whatever is asked of this process's only server next.
    context.set_forkserver_preload([READER, work.__module__])
    waiting, deaths = list(reversed(items)), Counter[str]()
    crew: dict[Connection, _Worker[Result]] = {}

    def hand(worker: _Worker[Result] | None) -> None:
        """Give the next item to a worker, or to a new one."""
        if waiting:
            worker = worker or _Worker(context, work, patience)
            worker.take(waiting.pop())
            crew[worker.connection] = worker
        elif worker:
            worker.connection.close()  # which ends it

    try:
        for _ in range(workers):
            hand(None)
        while crew:
            for connection in wait(list(crew)):
                assert isinstance(connection, Connection)
                worker = crew.pop(connection)
                try:
                    result: Result = connection.recv()
                except (EOFError, OSError):
                    reason = worker.death()
                    deaths[worker.item] += 1
                    if deaths[worker.item] < LIVES:
                        waiting.append(worker.item)
                    else:
                        yield worker.item, None, reason
                    hand(None)
                else:
                    yield worker.item, result, None
                    hand(worker)
    finally:
        for worker in crew.values():
            worker.process.kill()


class _Worker(Generic[Result]):
    """A process with one item in hand."""

    def __init__(
        self, context: ForkServerContext, work: Callable[[str], Result], patience: float
    ) -> None:
        self.item, self.patience = "", patience
        self.connection, theirs = context.Pipe()
        self.process: ForkServerProcess = context.Process(
            target=_serve, args=(theirs, work, patience), daemon=True
        )
        self.process.start()
        theirs.close()  # so that its death ends the pipe

    def take(self, item: str) -> None:
        """Begin with an item."""
        self.item = item
        try:
            self.connection.send(item)
        except BrokenPipeError:
            pass  # it is dead, which reading from it will tell

    def death(self) -> str:
        """Return why the process has died of its item."""
        self.connection.close()
        self.process.join()
        code = self.process.exitcode
        if code is None or code >= 0:
            raise WorkerError(f"a worker ended with code {code} at {self.item}")
        name = signal.Signals(-code).name
        if name == "SIGALRM":
            return f"it took longer than {self.patience:g} s"
        return f"it killed the process that read it ({name})"


def _serve(connection: Connection, work: Callable[[str], object], patience: float) -> None:
    """Work on what comes through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, in the middle of C code too
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_REAL, patience)
        result = work(item)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(result)
