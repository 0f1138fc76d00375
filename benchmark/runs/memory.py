"""How many clips at once a run's memory has room for: kept in its folder, halved when it ran out.

Memory runs out in the run, which is told so, or the kernel kills one of its processes, of which a
cgroup keeps count (Linux). Either way the run starts again with half as many, from its last
checkpoint, and so does whoever takes it up later. What it trains on in a step stays the same: the
smaller parts are accumulated.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.runs.folder import MEMORY
from datamodules.files import atomic_write

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Room:
    """What there is room for.

    Attributes:
        clips: At once on a device.
        least: Fewer cannot be: two where clips are mixed in pairs.
        too_many: With how many memory has run out, one after the other.
    """

    clips: int
    least: int = 1
    too_many: tuple[int, ...] = ()


def read(folder: Path) -> Room | None:
    """Return what the run in `folder` has room for, None before it has trained."""
    try:
        found = json.loads((folder / MEMORY).read_text(encoding="utf-8"))
        return Room(**{**found, "too_many": tuple(found["too_many"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def write(folder: Path, room: Room) -> None:
    """Note what the run in `folder` has room for."""
    with atomic_write(folder / MEMORY) as file:
        file.write(json.dumps(asdict(room)).encode())


def halve(folder: Path, clips: int | None = None, foreseen: int | None = None) -> int | None:
    """Note that memory has run out; return with how many clips at once the run goes on.

    Args:
        folder: Where the run works.
        clips: With how many it ran out; None: as many as are noted. If fewer are noted by now,
            another rank has done it.
        foreseen: As many as should fit, where that is known: more are not tried.

    Returns:
        None: with fewer it cannot be.
    """
    room = read(folder)
    if room is not None and clips is not None and clips in room.too_many:
        return room.clips
    if room is None or room.clips // 2 < room.least:
        return None
    fewer = room.clips // 2
    if foreseen is not None:
        fewer = max(room.least, min(fewer, foreseen))
    write(folder, Room(fewer, room.least, (*room.too_many, room.clips)))
    return fewer


def kills() -> int | None:
    """Return how often the kernel has killed for want of memory in our cgroup; None: unknown."""
    for file, key in _counters():
        try:
            pairs = (line.split() for line in file.read_text().splitlines())
            return next(int(value) for name, value in pairs if name == key)
        except (OSError, ValueError, StopIteration):
            continue
    return None


def _counters() -> list[tuple[Path, str]]:
    """Return where a count may stand, and under which name: in cgroups of version 2, and of 1."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        return []
    found = list[tuple[Path, str]]()
    for _, controllers, own in (line for line in lines if len(line) == 3):
        if not controllers:
            mounts, file = [CGROUPS, CGROUPS / "unified"], "memory.events"
        elif "memory" in controllers.split(","):
            mounts, file = [CGROUPS / "memory"], "memory.oom_control"
        else:
            continue
        # in a container, whose own cgroup is mounted as the root, the path may lead nowhere
        found += [(at / path / file, "oom_kill") for at in mounts for path in (own[1:], ".")]
    return found
