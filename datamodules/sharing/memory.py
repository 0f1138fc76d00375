"""Clips in memory that has no name: it is there for as long as somebody has it open."""

import json
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = 1024  # bytes before the pictures of a clip: what else belongs to it, as JSON
LENGTH = struct.Struct("<I")
SHARE = 0.5  # of the memory that is free, at most


def free_memory() -> float:
    """Return how many bytes of memory are free, for this process and those beside it."""
    free = [float("inf")]
    if Path("/proc/meminfo").exists():
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(float(lines["MemAvailable"].split()[0]) * 1024)
    limit, used = (Path(f"/sys/fs/cgroup/memory.{each}") for each in ("max", "current"))
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free.append(float(text) - float(used.read_text()))
    return min(free)


def anonymous(size: int) -> int:
    """Return a file of `size` bytes that has no name; what is never written takes no memory."""
    file = os.memfd_create("clips")
    os.ftruncate(file, size)
    return file


class Slots:
    """Places for clips of one size, in a file that several processes have mapped.

    Args:
        file: Its descriptor, which is closed.
        size: Bytes of a place, at least `slot_size` of what lies in it.
    """

    def __init__(self, file: int, size: int) -> None:
        self.size = size
        self._map = mmap.mmap(file, 0)
        os.close(file)

    def write(self, slot: int, pictures: NDArray[np.uint8], rest: dict[str, Any]) -> None:
        """Write a clip: its pictures of any shape, and what else belongs to it.

        Raises:
            ValueError: It is larger than a place.
        """
        text = json.dumps({"shape": pictures.shape, "rest": rest}).encode()
        if LENGTH.size + len(text) > HEADER or HEADER + pictures.nbytes > self.size:
            raise ValueError(f"a clip of shape {pictures.shape} is larger than {self.size} bytes")
        start = slot * self.size
        self._map[start : start + LENGTH.size + len(text)] = LENGTH.pack(len(text)) + text
        place = np.frombuffer(self._map, np.uint8, pictures.size, start + HEADER)
        np.copyto(place.reshape(pictures.shape), pictures)

    def read(self, slot: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Return a copy of the pictures of a clip, and what else belongs to it."""
        start = slot * self.size
        (length,) = LENGTH.unpack_from(self._map, start)
        found = json.loads(self._map[start + LENGTH.size : start + LENGTH.size + length])
        shape = found["shape"]
        place = np.frombuffer(self._map, np.uint8, int(np.prod(shape)), start + HEADER)
        return place.reshape(shape).copy(), found["rest"]


def slot_size(*shape: int) -> int:
    """Return how many bytes a place takes for clips of a shape, whole pages."""
    return -(-(HEADER + int(np.prod(shape))) // mmap.PAGESIZE) * mmap.PAGESIZE


def affordable(asked: float) -> int:
    """Return how many of `asked` bytes may be taken: at most half of what is free."""
    return int(min(asked, SHARE * free_memory()))
