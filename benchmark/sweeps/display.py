"""Show runs at work: a live table in a terminal, sparse plain lines in a log file."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmark.errors import UserError
from benchmark.recipes.name import RunName, shared_overrides
from benchmark.results import record
from benchmark.runs.progress import Follower
from datamodules.progress_bar import SPARSE, format_duration

REDRAW = 0.5  # seconds between two drawings in a terminal


def shortened(names: Sequence[str]) -> dict[str, str]:
    """Return runs' names without the folders and the overrides that all of them share."""
    runs = [RunName.parse(name) for name in names]
    shared = shared_overrides(runs)
    short = [str(run.without(shared)) for run in runs]
    folder = os.path.commonpath(short) if len(short) > 1 else runs[0].table
    return {name: own.removeprefix(f"{folder}/") for name, own in zip(names, short, strict=True)}


class Display:
    """What a person watching a sweep sees: which runs, how far, how well, how much longer."""

    def __init__(self, title: str, names: list[str], console: Console | None = None) -> None:
        self.title, self.total = title, len(names)
        self.console = console or Console()
        self.short = shortened(names)
        self.running: dict[str, Follower] = {}
        self.durations: list[float] = []  # seconds, of runs that left a record
        self.failed = 0
        self._noted = set[str]()
        self._drawn = time.monotonic()
        self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def started(self, name: str, folder: Path, since: float | None = None) -> None:
        """Tell that a run was started, which works in `folder`: now, or at some time."""
        self.running[name] = Follower(folder, time.time() if since is None else since)
        if not self.console.is_terminal:
            self._say(f"start  {name}")

    def waits(self, name: str) -> None:
        """Tell that a run that was started is queued again."""
        del self.running[name]
        self._say(f"again  {name}: it has stopped, and waits to go on")

    def leave(self, name: str, why: str) -> None:
        """Tell that a run is left to another process."""
        self.running.pop(name, None)
        self.total -= 1
        self._say(f"left   {name}: {why}")

    def ended(self, name: str, reason: str) -> None:
        """Tell that a run has ended, and why without a record if `reason` says so."""
        run = self.running.pop(name, None)  # None: it ended before it was seen to run
        if run:
            self._read(run)
        seconds = time.time() - run.since if run else 0.0
        if reason:
            self.failed += 1
            said = f"failed {name}: {reason}"
        else:
            self.durations.append(seconds)
            try:
                top1 = record.read(record.path(name)).metrics.top1
                said = f"done   {name}: top-1 {100 * top1:.1f} %, {format_duration(seconds)}"
            except UserError as error:
                said = f"done   {name}, but {error}"
        self._say(f"{said}  [{len(self.durations) + self.failed} of {self.total}]")

    def draw(self) -> None:
        """Draw the runs at work, if it is time to."""
        now = time.monotonic()
        if now - self._drawn < (REDRAW if self.console.is_terminal else SPARSE):
            return
        self._drawn = now
        for follower in self.running.values():
            self._read(follower)
        if self.console.is_terminal:
            self._live.update(self._table(), refresh=True)
        elif self.running:
            runs = (f"{self.short[name]} {run}{_left(run)}" for name, run in self.running.items())
            self._say("; ".join([self._headline(), *runs]))

    def _read(self, run: Follower) -> None:
        """Read how far a run is, and say what it notes, once however many runs do."""
        run.read()
        for note in run.notes:
            if note not in self._noted:
                self._noted.add(note)
                self._say(f"note   {note}")

    @property
    def left(self) -> float | None:
        """Seconds until all runs are done, None while that cannot be told."""
        now = time.time()
        elapsed = {run: now - run.since for run in self.running.values()}
        spans = [elapsed[run] + run.left for run in elapsed if run.left is not None]
        typical = self.durations + spans  # seconds of whole runs, done or foreseen
        if not typical:
            return None
        mean = sum(typical) / len(typical)
        rest = [max(0.0, mean - elapsed[r]) if r.left is None else r.left for r in elapsed]
        return max([(sum(rest) + self._waiting * mean) / max(1, len(rest)), *rest])

    def _headline(self) -> str:
        ended = f"{len(self.durations)} of {self.total} done"
        failed = f", {self.failed} failed" if self.failed else ""
        waits = f", {self._waiting} waiting" if self._waiting else ""
        rest = f", about {format_duration(self.left)} left" if self.left is not None else ""
        return f"{self.title + ': ' if self.title else ''}{ended}{failed}{waits}{rest}"

    @property
    def _waiting(self) -> int:
        return self.total - len(self.durations) - self.failed - len(self.running)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Group:
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, run in self.running.items():
            bar = ProgressBar(total=1.0, completed=run.share, width=16)
            table.add_row(Text(self.short[name]), bar, Text(f"{run}{_left(run)}"))
        return Group(Text(self._headline(), style="bold"), table)


def _left(run: Follower) -> str:
    return f", {format_duration(run.left)} left" if run.left is not None else ""
