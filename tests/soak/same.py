"""Whether what a run left is what another run left, to the bit, and if not, what differs.

Compared are its record; the answers, scores and list of videos beside it; and its last checkpoint:
weights, the optimiser's state, all that Lightning counts. Left out is what a clock decides, or who
else is at work: `LEFT_OUT`, key by key.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

LEFT_OUT = (
    # Of a record: measured by a clock, or of the process's memory;
    *("cost.train_seconds", "cost.test_seconds", "cost.device_seconds", "cost.clips_per_second"),
    *("cost.data_wait", "cost.inference_clips_per_second", "cost.peak_memory_bytes"),
    # of the run's starts;
    *("train.resumed", "train.started"),
    # which share of its clips other runs of the sweep had not decoded already.
    "data.decoded",
    # Of a checkpoint: what these come from.
    *("callbacks.TrainingMonitor.seconds", "callbacks.TrainingMonitor.waiting"),
    *("callbacks.TrainingMonitor.resumed", "callbacks.MemoryMonitor.process_peak"),
    *("VideoDataModule.decoded.0", "VideoDataModule.decoded.1"),
)


def differences(one: Path, other: Path, name: str) -> list[str]:
    """Return what differs in what two runs left, each with its file and key.

    Args:
        one: A folder with `runs` and `results`.
        other: The same.
        name: Of the run in both.
    """
    found = []
    for file in _files(one, name) | _files(other, name):
        both = [folder / file for folder in (one, other)]
        if missing := [each for each in both if not each.exists()]:
            found.append(f"{name}: no {missing[0]}")
            continue
        kept = [dict(_kept(each)) for each in both]
        for key in sorted(kept[0].keys() | kept[1].keys()):
            values = [each.get(key, "absent") for each in kept]
            if bits(values[0]) != bits(values[1]):
                found.append(f"{file}: {key}: {_shown(values[0])} and {_shown(values[1])}")
    return found


def _files(folder: Path, name: str) -> set[Path]:
    """Return what a run has left, relative to the folder."""
    record = folder / "results" / f"{name}.json"
    found = {record, record.with_suffix(".npz"), record.with_suffix(".answers.npz")}
    found |= {*record.parents[3].glob("splits/*.npz"), folder / "runs" / name / "last.ckpt"}
    return {each.relative_to(folder) for each in found}


def _kept(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield what is compared of a file: dotted keys and what has no keys any more."""
    if file.suffix == ".npz":
        with np.load(file) as arrays:
            yield from arrays.items()
        return
    if file.suffix == ".json":
        found = json.loads(file.read_text())
    else:
        found = torch.load(file, map_location="cpu", weights_only=True)
    yield from (each for each in leaves(found) if each[0] not in LEFT_OUT)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys of nested mappings and lists, with what has no keys any more."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        yield key, value
        return
    for part, each in value.items():
        yield from leaves(each, f"{key}.{part}" if key else str(part))


def bits(value: Any) -> Any:
    """Return what is equal for two values only if they are the same, bit by bit."""
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous().flatten().view(torch.uint8).numpy(), value.shape
        return type(value), value[1], value[0].tobytes()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return type(value), value.hex() if isinstance(value, float) else repr(value)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"{value.dtype} of {tuple(value.shape)}"
    return repr(value)[:80]
