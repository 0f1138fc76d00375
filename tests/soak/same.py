"""Whether what a run left is what another run left, to the bit, and if not, what differs.

Compared are its record; the answers, scores and list of videos beside it; and its checkpoint, with
the weights, the optimiser's state and the schedule's. Left out is what a clock or a scheduler
decides, listed here.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

LEFT_OUT = {  # of a record
    # measured by a clock, or of the process's memory at some moment
    *("cost.train_seconds", "cost.test_seconds", "cost.device_seconds", "cost.clips_per_second"),
    *("cost.data_wait", "cost.inference_clips_per_second", "cost.peak_memory_bytes"),
    "data.decoded",  # the share of clips that other runs of the sweep had not decoded already
    *("train.resumed", "train.started"),  # of the run's starts
}
# Of a checkpoint: Lightning's own counts of what it has begun, which start anew; and the monitors',
# whose curve and broken videos are in the record.
LEFT_OUT_OF_CHECKPOINT = ("loops", "callbacks")


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
    if file.suffix == ".json":
        found = leaves(json.loads(file.read_text()))
        yield from (each for each in found if each[0] not in LEFT_OUT)
    elif file.suffix == ".npz":
        with np.load(file) as arrays:
            yield from arrays.items()
    else:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        yield from leaves({k: v for k, v in saved.items() if k not in LEFT_OUT_OF_CHECKPOINT})


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
