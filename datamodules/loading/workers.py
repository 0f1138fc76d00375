"""How the processes of a loader start, and what signals mean to them."""

import faulthandler
import signal
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

# What reads and augments clips: torch and FFmpeg, and no Lightning, which costs twice as much.
READERS = ("datamodules.loading.clips", "datamodules.loading.opener")
OUTLIVING = 90  # seconds a loader worker serves on after a SIGTERM, for the run to save


def fork_server() -> ForkServerContext:
    """Return what starts the workers of one of several ranks.

    A rank has threads that talk to the others; a fork while one of them starts or ends may hang in
    the child for good (CPython before 3.12: seen). A fork server has no such threads.
    """
    context = get_context("forkserver")
    main = sys.modules["__main__"].__spec__
    # Every worker imports the main module unless the server has; of itself it does so for
    # `python file`, not for `python -m module` (CPython 3.11).
    known = [main.name] if main and not main.name.endswith("__main__") else []
    context.set_forkserver_preload([*READERS, *known])
    return context


def begin_worker(worker: int) -> None:
    """Leave SIGTERM, which Slurm sends to every process, to the run: it needs workers to save.

    They end some time after it: a process that exits sends it to those it has left, and waits.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(OUTLIVING))
    tell_stacks()


def tell_stacks() -> None:
    """Have this process write the stacks of all its threads to stderr when it gets SIGUSR1."""
    faulthandler.register(signal.SIGUSR1, file=sys.__stderr__ or 2)
