"""Records: the JSON a run leaves, everything needed to believe or to distrust it."""

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.recipes.name import SCRATCH, RunName
from benchmark.results.schema import Cost, DataProvenance, Environment, Metrics, Training, parse
from datamodules.files import ROOT, atomic_write, folder_from_environment

RESULTS = folder_from_environment("RESULTS", ROOT / "results")
VERSION = 3  # of the JSON; raised when keys are added or change, so that older code says it is old


class BrokenRecord(UserError):
    """A file in a record's place holds none: whatever it held is lost, and can be made again."""


@dataclass(frozen=True)
class Record:
    """What a run was, what came out, what it cost, and on what it ran."""

    name: str  # of the run
    recipe: dict[str, Any]  # resolved; its own schema says what it holds
    metrics: Metrics
    cost: Cost
    data: DataProvenance
    environment: Environment
    train: Training

    def write(self) -> Path:
        """Write the record to its place, whole or not at all, and return that place.

        Raises:
            UserError: it is none, a result is not a number, say.
        """
        file, found = path(self.name), asdict(self)
        found["train"]["curve"] = _plain(found["train"]["curve"])  # may have holes, a result not
        _parsed(found, file)
        # Sorted, but for the recipe: in ZeroI2V's `shifts` the order says which heads are meant.
        plain = _plain(found)
        plain = {
            key: plain[key] if key == "recipe" else _sorted(plain[key]) for key in sorted(plain)
        }
        text = json.dumps({"version": VERSION, **plain}, indent=2, allow_nan=False)
        with atomic_write(file) as stream:
            stream.write(f"{text}\n".encode())
        return file


def path(name: str) -> Path:
    """Return where the record of the run `name` lies."""
    return RESULTS / f"{name}.json"


def read(file: Path) -> Record:
    """Return the record in `file`, of this version or an older one.

    Raises:
        BrokenRecord: it is not a record; the file is named and, where a key is wrong, the key.
        UserError: there is none, it cannot be read, or it is of a newer version.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no record {file}") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise BrokenRecord(f"{file}: not a record: {error}") from None
    except RecursionError:
        raise BrokenRecord(f"{file}: not a record: it is nested too deeply") from None
    version = found.pop("version", 0) if isinstance(found, dict) else 0  # the first had none
    if type(version) is not int or version < 0:
        raise BrokenRecord(f"{file}: not a record: version is {version!r}, not a count")
    if version > VERSION:
        raise UserError(
            f"{file}: is of version {version}, newer than this code, which reads up to {VERSION}"
        )
    # Older versions are this one without some keys, all of which may be missing.
    return _parsed(found, file)


def read_in_place(file: Path) -> Record:
    """Return the record in `file`, which lies where its name says if it lies in RESULTS.

    Raises:
        UserError: as `read`, or it lies elsewhere.
    """
    found = read(file)
    if file.is_relative_to(RESULTS) and path(found.name) != file:
        raise UserError(f"{file}: is a copy of {found.name}")
    return found


def files(under: Path | None = None) -> list[Path]:
    """Return where the records of a folder lie; without one, those of RESULTS except scratch.

    Links to folders are followed: results may lie on several disks.
    """
    found = list[Path]()
    for place, folders, names in os.walk(os.path.abspath(under or RESULTS), followlinks=True):
        folders[:] = [each for each in folders if not _leads_back(place, each)]
        records = (each for each in names if each.startswith("seed") and each.endswith(".json"))
        found += [Path(place, each) for each in records if each.count(".") == 1]  # no examination
    return sorted(each for each in found if under or not each.is_relative_to(RESULTS / SCRATCH))


def _leads_back(place: str, name: str) -> bool:
    """Return whether a folder in `place` is a link to one around it."""
    folder = Path(place, name)
    return folder.is_symlink() and any(folder.samefile(each) for each in folder.parents)


def files_of(said: str) -> list[Path]:
    """Return the records that a path, or the name of a run or of a row, stands for.

    Args:
        said: A record's file; a folder of them; a run's name; or one without its seed, which
            stands for all seeds.

    Raises:
        UserError: there are none, or it is no name.
    """
    if os.path.isfile(said):  # which names too long to exist are no error of
        return [Path(os.path.abspath(said))]  # as names have it, without ..
    if os.path.isdir(said):
        found = files(Path(said))
    elif RunName.parse(said).seed is None:
        found = files(RESULTS / said)
    else:
        found = [path(said)] if os.path.isfile(path(said)) else []
    if not found:
        raise UserError(f"no records of {said!r}")
    return found


def records(under: Path | None = None) -> list[Record]:
    """Return the records in `files(under)`, sorted by name, as `by_file` finds them."""
    return list(by_file(under).values())


def by_file(under: Path | None = None) -> dict[Path, Record]:
    """Return the records in `files(under)` by where each lies, sorted by name.

    What is broken, lies where its name does not say, or is a further record of a run, which would
    count as another seed, is told on stderr and left out.
    """
    found, names = dict[Path, Record](), set[str]()
    for file in files(under):
        try:
            each = read_in_place(file)
            if each.name in names:
                raise UserError(f"{file}: is another record of {each.name}")
        except UserError as error:
            print(f"warning: left out: {error}", file=sys.stderr)
            continue
        names.add(each.name)
        found[file] = each
    return dict(sorted(found.items(), key=lambda item: item[1].name))


def _parsed(found: object, file: Path) -> Record:
    """Return the record that `found`, of this version, holds, or raise a BrokenRecord."""
    try:
        record: Record = parse(Record, found)
        run = RunName.parse(record.name)
        if str(run) != record.name or run.seed is None:
            raise ValueError(f"{record.name!r} is no run's name: .../seedN")
        for split in ("test", record.metrics.split):
            if split not in record.data.splits:
                raise ValueError(f"data.splits.{split} missing")
    except (ValueError, UserError) as error:
        raise BrokenRecord(f"{file}: not a record: {' '.join(str(error).split())}") from None
    return record


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
