"""Whoever starts a run watches it: has it stalled, and if so, at what are its processes?

A run says with each line of its progress within which time the next is to come. The watcher counts
from when it saw a line come, by its own clock: a machine that slept is no run that stalled.

The stacks are written by the processes themselves, on SIGUSR1, by code that waits for no lock of
Python's. Only what catches that signal is sent it. A process that was stopped writes none, which
tells enough.
"""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from benchmark.runs import progress
from benchmark.runs.folder import PROGRESS

LOOK = 0.5  # seconds after a line, before which nobody asks when the next is to come
WRITING = 0.3  # seconds that a process is given to write its stacks
STATES = {  # of a process, as Linux has them
    "R": "at work",
    "S": "waits",
    "D": "waits for a disk, and cannot be killed before that answers",
    "T": "stopped: a SIGCONT lets it go on",
    "t": "stopped by a debugger",
    "Z": "has ended",
}


class Watch:
    """What is seen of a run at work.

    Args:
        folder: Where it works.
        session: Of its processes.
        log: Of its output.
        since: When it was started, seconds since 1970.
    """

    def __init__(self, folder: Path, session: int, log: IO[bytes], since: float) -> None:
        self.folder, self.session, self.log, self.since = folder, session, log, since
        self._state: tuple[int, int] | None = None
        self._seen, self._within = time.monotonic(), math.nan
        self._told = ""

    def stalled(self) -> str:
        """Return in words that the run has stalled, "" if not; at first its stacks are noted."""
        now, state = time.monotonic(), self._file()
        if state != self._state:
            self._state, self._seen, self._within, self._told = state, now, math.nan, ""
        if self._told or now - self._seen < LOOK:
            return self._told
        if math.isnan(self._within):
            self._within = self._patience()
        if now - self._seen > self._within:
            last = progress.last(self.folder) or {"time": time.time()}
            self._told = f"stalled since {progress.clock(last['time'])}"
            write_stacks(self.session, self.log, self._told)
        return self._told

    def _file(self) -> tuple[int, int] | None:
        try:
            found = (self.folder / PROGRESS).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _patience(self) -> float:
        """Return the seconds within which the next line is to come."""
        lines = [each for each in progress.tail(self.folder) if each["time"] >= self.since]
        return progress.patience(lines)


def write_stacks(session: int, log: IO[bytes], why: str) -> None:
    """Write to a log what the processes of a session do."""

    def say(line: str) -> None:
        log.write(f"{line}\n".encode())
        log.flush()

    with suppress(OSError):  # the disk may be full
        say(f"{why}; the stacks of its processes:")
        for process, name, state in sorted(_processes(session)):
            say(f"-- process {process} ({name}): {STATES.get(state, state)}")
            if state not in "TtZ" and _catches(process, signal.SIGUSR1):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGUSR1)
                time.sleep(WRITING)
        say("-- end of the stacks")


def _processes(session: int) -> Iterator[tuple[int, str, str]]:
    """Yield id, name and state of the processes of a session (Linux)."""
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            before, _, rest = each.read_text().rpartition(")")
            fields = rest.split()  # state, parent, group, session
            if int(fields[3]) == session:
                yield int(each.parent.name), before.partition("(")[2], fields[0]


def _catches(process: int, number: int) -> bool:
    """Return whether a process has said what it does on a signal (Linux)."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
