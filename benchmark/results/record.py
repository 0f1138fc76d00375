"""Records: the JSON a run leaves, everything needed to believe or to distrust it."""

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.recipes.name import SCRATCH
from datamodules.files import ROOT, atomic_write

RESULTS = Path(os.environ.get("RESULTS") or ROOT / "results").absolute()


@dataclass(frozen=True)
class Record:
    """What a run was, what came out, what it cost, and on what it ran."""

    name: str
    recipe: dict[str, Any]  # resolved
    metrics: dict[str, Any]  # top1, top5, mean_class, clip_top1: 0..1; videos: count; split
    cost: dict[str, Any]  # parameters, multiply-accumulates, seconds, bytes: measured
    data: dict[str, Any]  # checksums of splits and labels, the holdout, what could not be decoded
    environment: dict[str, Any]  # commit, versions, weights fingerprint, device
    train: dict[str, Any]  # epochs, steps, curve, how often it was resumed

    def write(self) -> Path:
        """Write the record to its place, whole or not at all, and return that place."""
        file = path(self.name)
        _check(asdict(self), file)
        # Sorted, but for the recipe: in ZeroI2V's `shifts` the order says which heads are meant.
        plain = _plain(asdict(self))
        plain = {
            key: plain[key] if key == "recipe" else _sorted(plain[key]) for key in sorted(plain)
        }
        text = json.dumps(plain, indent=2, allow_nan=False)
        with atomic_write(file) as stream:
            stream.write(f"{text}\n".encode())
        return file


def path(name: str) -> Path:
    """Return where the record of the run `name` lies."""
    return RESULTS / f"{name}.json"


def read(file: Path) -> Record:
    """Return the record in `file`.

    Raises:
        UserError: there is none, or it is not a record; the file is named.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no record {file}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a record: {error}") from None
    _check(found, file)
    return Record(**found)


def files(under: Path | None = None) -> list[Path]:
    """Return where the records of a folder lie; without one, those of RESULTS except scratch."""
    found = sorted((under or RESULTS).absolute().glob("**/seed*.json"))
    return [each for each in found if under or not each.is_relative_to(RESULTS / SCRATCH)]


def records(under: Path | None = None) -> list[Record]:
    """Return the records in `files(under)`, sorted by name.

    What is broken, or lies where its name does not say, is told on stderr and left out.
    """
    found = []
    for file in files(under):
        try:
            record = read(file)
            if file.is_relative_to(RESULTS) and path(record.name) != file:
                raise UserError(f"{file}: is a copy of {record.name}")
            found.append(record)
        except UserError as error:
            print(f"warning: left out: {error}", file=sys.stderr)
    return sorted(found, key=lambda record: record.name)


def _check(found: object, file: Path) -> None:
    """Raise a UserError that names `file` if `found` is not what a record holds."""

    def demand(fine: bool, problem: str) -> None:
        if not fine:
            raise UserError(f"{file}: not a record: {problem}")

    demand(isinstance(found, dict), "no keys")
    assert isinstance(found, dict)
    keys = {field.name for field in fields(Record)}
    demand(not keys - found.keys(), f"{', '.join(sorted(keys - found.keys()))} missing")
    demand(not found.keys() - keys, f"unknown {', '.join(sorted(found.keys() - keys))}")
    for key in sorted(keys):
        kind = str if key == "name" else dict
        demand(isinstance(found[key], kind), f"{key} is not a {kind.__name__}")
    for key, where in (("top1", "metrics"), ("trained_parameters", "cost")):
        value = found[where].get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        demand(number and math.isfinite(value), f"{where}.{key} is {value!r}, not a number")
    demand(0 <= found["metrics"]["top1"] <= 1, "metrics.top1 is not between 0 and 1")


def _sorted(value: Any) -> Any:
    """Return `value` with the keys of all its mappings in order."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return value


def _plain(value: Any) -> Any:
    """Return `value` with null for what JSON has no number for (a curve's nan)."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
