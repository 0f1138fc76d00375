"""What became of the runs that faults met: told from the lines of their progress, in a table."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faults import KINDS, Met
from typed_sweep import Sweep

WENT_ON, TESTED, DONE = "went on", "was tested again", "was done"


@dataclass(frozen=True)
class Aftermath:
    """What a run did after a fault.

    Attributes:
        kind: Of the fault.
        did: In words.
        step: From which one it went on; None: it did not go back to one.
        lost: Steps that it had told of, and took again.
    """

    kind: str
    did: str
    step: int | None = None
    lost: int = 0


def aftermath(
    met: Met,
    lines: Sequence[Mapping[str, Any]],
    asked: Sequence[float],
    until: float = math.inf,
) -> Aftermath:
    """Return what a run did after a fault.

    Args:
        met: The fault.
        lines: Of the run's progress, all of them.
        asked: When the sweep's command asked for the run to be started.
        until: When the next fault met the run, which was at work then.
    """
    after = [each for each in lines if met.time < each["time"] < until]
    starts = [each["time"] for each in after if each["stage"] == "start" and "note" not in each]
    if not starts:
        return Aftermath(met.kind, WENT_ON if after or until < math.inf else DONE)
    again = min(starts)
    by = "typed again" if any(met.time < each < again for each in asked) else "by itself"
    before = [each["step"] for each in lines if each["time"] < again and each["stage"] == "fit"]
    later = [each for each in lines if each["time"] > again and each["stage"] in ("fit", "test")]
    if not later or later[0]["stage"] == "test":
        return Aftermath(met.kind, f"{TESTED}, {by}")
    step = later[0]["step"] - 1  # the first line comes with the first step
    if not step:
        return Aftermath(met.kind, f"began anew, {by}", 0, max(before, default=0))
    lost = max(0, max(before, default=0) - step)
    return Aftermath(met.kind, f"resumed, {by}", step, lost)


def aftermaths(met: Sequence[Met], sweep: Sweep) -> list[list[Aftermath]]:
    """Return, of each fault that a sweep met, what became of the runs it met."""
    found = []
    for number, each in enumerate(met):
        became = []
        for name in each.runs:
            later = [other.time for other in met[number + 1 :] if name in other.runs]
            until = min(later, default=math.inf)
            became.append(aftermath(each, sweep.lines(name), sweep.asked[name], until))
        found.append(became)
    return found


def table(found: Mapping[str, Sequence[Sequence[Aftermath]]], same: Mapping[str, str]) -> str:
    """Return a Markdown table: per launcher and kind of fault, what the runs it met did.

    Args:
        found: Of each launcher, of each fault, what became of the runs it met.
        same: Of each launcher, how many of its records are those of an undisturbed sweep.
    """
    rows = [["on", "fault", "times", "the runs it met", "from which step", "records equal"]]
    for on, faults in found.items():
        for kind, words in KINDS.items():
            own = [each for each in faults if each and each[0].kind == kind]
            if own:
                runs = [run for each in own for run in each]
                did = Counter(run.did for run in runs)
                steps = [_step(run) for run in runs if run.step is not None]
                told = ", ".join(f"{count} {what}" for what, count in did.most_common())
                rows.append([on, words, str(len(own)), told, ", ".join(steps), same[on]])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "| --- | --- | --: | --- | --- | --: |", *lines[1:]])


def _step(run: Aftermath) -> str:
    return f"{run.step} ({run.lost} lost)" if run.lost else str(run.step)
