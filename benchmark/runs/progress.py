"""Progress: the lines a run writes while it works, and what their reader makes of them.

A run appends JSON lines to `RUNS/<name>/progress.jsonl`. Whoever started it reads the last one and
draws; the run itself never draws.
"""

import errno
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from benchmark.runs.folder import PROGRESS
from datamodules.files import NO_ROOM

TAIL = 16_384  # bytes read from the end; a line has a few hundred
BEFORE = 0.02  # the share of a run before training
TEST = 0.05  # the test's share of the rest, where a run does not tell


DIVERGED = "try a lower optim.lr"  # in the message of a run whose numbers were none any more
Stage = Literal["start", "fit", "test", "done", "failed", "preempted", "killed"]
# Keys whose values are reckoned with.
COUNTED = ("time", "step", "steps", "epoch", "epochs", "within")
ENDED = ("failed", "preempted", "killed")  # stages of a run that has ended without a record


def write(folder: Path, *, stage: Stage, **fields: Any) -> None:
    """Append one line to the progress of the run that works in `folder`.

    Args:
        folder: Where the run works.
        stage: Where it is, or how it ended: by its own mistake ("failed"), having saved when it was
            asked to stop ("preempted"), or by others ("killed").
        **fields: `step` of `steps` (of the optimiser; videos in a test), `epoch` (from 0) of
            `epochs`, `loss`, `top1`, `clips_per_second`, `test_share` (the test's part of the work
            that training and test are), `message`, `note` (for whoever watches); `recipe`, of a
            training that diverged; `devices`, of a start; `within`, the seconds in which the next
            line is to come, or the run has stalled.

    Raises:
        OSError: nobody can write there. Where a disk is full only a start is kept from: how far a
            run is can be told later, how long it took is counted from its start.
    """
    line = json.dumps({"time": time.time(), "stage": stage, **fields}).encode() + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _append(folder / PROGRESS, line)
    except OSError as error:
        if error.errno not in NO_ROOM or "devices" in fields:
            raise


def _append(file: Path, line: bytes) -> None:
    """Append a line by one write, so that a reader sees the whole of it or nothing."""
    with file.open("ab", buffering=0) as stream:
        begin = stream.seek(0, os.SEEK_END)
        written = 0
        try:
            written = stream.write(line)
        finally:
            if written < len(line):
                stream.truncate(begin)
    if written < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))


def last(folder: Path) -> dict[str, Any] | None:
    """Return the last whole line of a run's progress, or None."""
    lines = tail(folder)
    return lines[-1] if lines else None


def tail(folder: Path) -> list[dict[str, Any]]:
    """Return the last whole lines of a run's progress, some seconds of them."""
    try:
        with (folder / PROGRESS).open("rb") as file:
            begin = max(0, file.seek(0, 2) - TAIL)
            file.seek(begin)
            text = file.read()
    except OSError:  # there is none, or no file of that name
        return []
    return list(_lines(text[text.find(b"\n") + 1 :] if begin else text))


def _lines(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.split(b"\n"):
        try:
            each = json.loads(line)
        except (ValueError, RecursionError):  # not finished yet, or never: torn by a kill
            continue
        if _is_line(each):
            yield each


def device_seconds(folder: Path) -> float:
    """Return the wall time of all starts of a run times their devices; the last one goes on now.

    What a killed start did after its last line is lost, some seconds; the time between two starts
    does not count.
    """
    total, devices, before = 0.0, 0, 0.0
    lines = [*_lines((folder / PROGRESS).read_bytes()), {"time": time.time()}]
    for line in lines:
        match line.get("stage"):
            case "killed":  # told by somebody else, some time later
                continue
            case "start" if "note" not in line:
                devices = line.get("devices", 1)
            case _:
                total += devices * (line["time"] - before)
        before = line["time"]
    return total


def _is_line(value: Any) -> bool:
    """Return whether `value` is what `write` writes, as far as its readers count with it."""
    if not isinstance(value, dict) or "time" not in value:
        return False
    numbers = [value[key] for key in COUNTED if value.get(key) is not None]
    finite = all(isinstance(each, int | float) and math.isfinite(each) for each in numbers)
    return finite and value.get("stage") in get_args(Stage)


def message(line: Mapping[str, Any] | None) -> str:
    """Return what a line says to people, in one line: of a traceback the last one."""
    said = str((line or {}).get("message", "")).strip().splitlines()
    return said[-1].strip() if said else ""


def patience(lines: Sequence[Mapping[str, Any]]) -> float:
    """Return the seconds within which the next line of a run is to come; inf: nobody waits for it.

    Args:
        lines: Of its progress, of this start.
    """
    if not lines or lines[-1].get("stage") in ("done", *ENDED):
        return math.inf
    said = (float(each["within"]) for each in reversed(lines) if each.get("within"))
    return next(said, math.inf)


def stalled_since(lines: Sequence[Mapping[str, Any]], now: float | None = None) -> float | None:
    """Return when the last sign came of a run at work that has stalled, None if it has not.

    Args:
        lines: Of its progress, of this start.
        now: Seconds since 1970.
    """
    if math.isinf(within := patience(lines)):
        return None
    last = float(lines[-1]["time"])
    return last if (time.time() if now is None else now) - last > within else None


def clock(moment: float) -> str:
    """Return a moment as people write it, with its day unless that is today."""
    then, today = time.localtime(moment), time.localtime()
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)


class Follower:
    """Read the progress of one run, from when it was started this time.

    Attributes:
        line: the last line, or None while there is none.
        notes: what the run has to say to whoever watches it, in order.
        stalled: when the last sign of it came, if it has stalled since.
    """

    def __init__(self, folder: Path, since: float) -> None:
        self.folder, self.since = folder, since
        self.line: dict[str, Any] | None = None
        self.notes = list[str]()
        self.stalled: float | None = None
        self._test_share = TEST
        # In which stage it is, and when it was seen there first, and where.
        self._first: tuple[str, float, float] | None = None

    def read(self) -> None:
        """Read the last line, and where training was some time before it."""
        lines = [each for each in tail(self.folder) if each.get("time", 0) >= self.since]
        if not lines:  # or all of them of a start before this one
            return
        began = [each.get("stage") == "start" and "note" not in each for each in lines]
        starts = [i for i, first in enumerate(began) if first]
        if starts:  # started again: what was measured before does not count
            lines, self._first = lines[starts[-1] :], None
        self.stalled = stalled_since(lines)
        for line in lines:
            stage = line.get("stage")
            if note := line.get("note"):
                self.notes += [str(note)] if note not in self.notes else []
                self.line = self.line or line
                continue
            self.line = line
            self._test_share = self.line.get("test_share", self._test_share)
            if stage not in ("fit", "test") or not self.line.get("step"):
                continue
            if self._first is None or self._first[0] != stage:  # a test has a speed of its own
                self._first = stage, self.line["time"], self.share

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        line = self.line or {}
        test = (1 - BEFORE) * self._test_share
        done = line.get("step", 0) / max(1, line.get("steps", 1))
        match line.get("stage"):
            case "fit":
                return float(BEFORE + (1 - BEFORE - test) * done)
            case "test":
                return float(1 - test + test * done)
            case "done":
                return 1.0
            case _:
                return 0.0

    @property
    def left(self) -> float | None:
        """Seconds until the run is done, None while that cannot be told."""
        if self.line is None or self._first is None or self.stalled is not None:
            return None
        stage, start, share = self._first
        if self.share <= share or self.line.get("stage") != stage:
            return None
        end = self.line["time"] + (self.line["time"] - start) / (self.share - share) * (
            1 - self.share
        )
        return float(max(0.0, end - time.time()))

    def __str__(self) -> str:
        """Say in words where the run is."""
        line = self.line or {"stage": "start"}
        stalled = [] if self.stalled is None else [f"stalled since {clock(self.stalled)}"]
        said = [str(line.get("stage", ""))]
        if line.get("stage") == "test" and line.get("steps"):
            said = [f"test, {line.get('step', 0):,} of {line['steps']:,} videos"]
        if line.get("epochs"):
            said = [f"epoch {line.get('epoch', 0) + 1}/{line['epochs']}"]
        if isinstance(line.get("loss"), int | float):
            said.append(f"loss {line['loss']:.3f}")
        if isinstance(line.get("top1"), int | float):
            said.append(f"top-1 {100 * line['top1']:.0f} %")
        if isinstance(line.get("clips_per_second"), int | float):
            said.append(f"{line['clips_per_second']:.0f} clips/s")
        return ", ".join(stalled + said)
