"""Progress: the lines a run writes while it works, and what their reader makes of them.

A run appends JSON lines to `RUNS/<name>/progress.jsonl`. Whoever started it reads the last one and
draws; the run itself never draws.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from benchmark.runs.folder import PROGRESS

TAIL = 16_384  # bytes read from the end; a line has a few hundred
FIT = 0.02, 0.93  # shares of a run before training, and in it; the rest is the test


Stage = Literal["start", "fit", "test", "done", "failed", "preempted", "killed"]
ENDED = ("failed", "preempted", "killed")  # stages of a run that has ended without a record


def write(folder: Path, *, stage: Stage, **fields: Any) -> None:
    """Append one line to the progress of the run that works in `folder`.

    Args:
        folder: Where the run works.
        stage: Where it is, or how it ended: by its own mistake ("failed"), having saved when it was
            asked to stop ("preempted"), or by others ("killed").
        **fields: `step` of `steps` (of the optimiser), `epoch` (from 0) of `epochs`, `loss`,
            `top1`, `clips_per_second`, `message`; `devices`, of a start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"time": time.time(), "stage": stage, **fields})
    with (folder / PROGRESS).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")  # one write: a reader sees the whole line or none of it


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
    except FileNotFoundError:
        return []
    return list(_lines(text[text.find(b"\n") + 1 :] if begin else text))


def _lines(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.split(b"\n"):
        try:
            each = json.loads(line)
        except ValueError:  # not finished yet, or never: torn by a kill
            continue
        if isinstance(each, dict):
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
            case "start":
                devices = line.get("devices", 1)
            case _:
                total += devices * (line["time"] - before)
        before = line["time"]
    return total


def message(line: Mapping[str, Any] | None) -> str:
    """Return what a line says to people, in one line: of a traceback the last one."""
    said = str((line or {}).get("message", "")).strip().splitlines()
    return said[-1].strip() if said else ""


class Follower:
    """Read the progress of one run, from when it was started this time.

    Attributes:
        line: the last line, or None while there is none.
    """

    def __init__(self, folder: Path, since: float) -> None:
        self.folder, self.since = folder, since
        self.line: dict[str, Any] | None = None
        self._first: tuple[float, float] | None = None  # when training was seen first, and where

    def read(self) -> None:
        """Read the last line, and where training was some time before it."""
        lines = [each for each in tail(self.folder) if each.get("time", 0) >= self.since]
        if not lines:  # or all of them of a start before this one
            return
        starts = [i for i, each in enumerate(lines) if each.get("stage") == "start"]
        if starts:  # started again: what was measured before does not count
            lines, self._first = lines[starts[-1] :], None
        for self.line in lines:
            if self._first is None and self.line.get("stage") == "fit" and self.line.get("step"):
                self._first = self.line["time"], self.share

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        line = self.line or {}
        before, fit = FIT
        match line.get("stage"):
            case "fit":
                return before + fit * line.get("step", 0) / max(1, line.get("steps", 1))
            case "test":
                return before + fit
            case "done":
                return 1.0
            case _:
                return 0.0

    @property
    def left(self) -> float | None:
        """Seconds until the run is done, None while that cannot be told."""
        if self.line is None or self._first is None:
            return None
        start, share = self._first
        if self.share <= share:
            return None
        end = self.line["time"] + (self.line["time"] - start) / (self.share - share) * (
            1 - self.share
        )
        return float(max(0.0, end - time.time()))

    def __str__(self) -> str:
        """Say in words where the run is."""
        line = self.line or {"stage": "start"}
        said = [str(line.get("stage", ""))]
        if line.get("epochs"):
            said = [f"epoch {line.get('epoch', 0) + 1}/{line['epochs']}"]
        if isinstance(line.get("loss"), int | float):
            said.append(f"loss {line['loss']:.3f}")
        if isinstance(line.get("top1"), int | float):
            said.append(f"top-1 {100 * line['top1']:.0f} %")
        if isinstance(line.get("clips_per_second"), int | float):
            said.append(f"{line['clips_per_second']:.0f} clips/s")
        return ", ".join(said)
