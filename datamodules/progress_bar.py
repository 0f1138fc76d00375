"""Tell how far work on a long list is: a bar in a terminal, sparse plain lines in a log file."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

SPARSE = 30.0  # seconds between two lines about what is at work, in a log file


class ProgressBar:
    """Work whose progress is told on stderr.

    Args:
        title: What is done.
        total: Of how many.
        console: Where it is told.

    Attributes:
        done: How many are done.
        broken: How many of them could not be done.
    """

    def __init__(self, title: str, total: int, console: Console | None = None) -> None:
        self.title, self.total, self.done, self.broken = title, total, 0, 0
        self._console = console or Console(stderr=True)
        self._since = self._said = time.monotonic()
        columns = (BarColumn(), TextColumn("{task.description}", markup=False))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(str(self), total=total)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:  # or it would leave an empty line
            self._bar.stop()

    def advance(self, count: int = 1, *, broken: bool = False) -> None:
        """Count one, or so many, as done."""
        self.done += count
        self.broken += broken
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self.done, description=str(self))
        elif (now := time.monotonic()) - self._said >= SPARSE:
            self._said = now
            self._console.print(str(self), markup=False, highlight=False, soft_wrap=True)

    def __str__(self) -> str:
        """Say how far it is, how fast, and how much longer it takes."""
        said = [f"{self.title}: {self.done:,} of {self.total:,}"]
        if self.broken:
            said.append(f"{self.broken:,} broken")
        elapsed = time.monotonic() - self._since
        if self.done and elapsed > 1:
            said.append(f"{self.done / elapsed:.3g}/s")
            said.append(
                f"about {format_duration(elapsed / self.done * (self.total - self.done))} left"
            )
        return ", ".join(said)


def format_duration(seconds: float | None) -> str:
    """Return a duration for reading: "41 s", "3:05 min", "2:10 h"."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
