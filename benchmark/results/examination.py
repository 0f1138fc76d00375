"""Examinations: what else a checkpoint told than its accuracy, kept beside the run's record.

`seedN.examined.json` has a commit of its own: a checkpoint may be examined long after its run.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from datamodules.files import atomic_write

TESTS = {  # what can be examined, and what each is about
    "time": "top-1 with the frames shuffled, reversed, and one of them repeated",
    "views": "top-1 against the number of clips per video",
    "corruptions": "top-1 under noise, blur, brightness, contrast and JPEG",
    "calibration": "expected calibration error, likelihood, Brier score",
    "classes": "gains per class over the linear probe's record",
    "drift": "features of stills, and a head on them, beside those of the frozen backbone",
}


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was examined, and what came out. Accuracies are fractions.

    Attributes:
        name: Of the run.
        checkpoint: SHA-256 of its parameters.
        overrides: Of the recipe that the checkpoint holds, as typed.
        commit: Of the code that examined it.
        dirty: Whether that code differed from its commit.
        split: The split that was watched.
        sha256: Of that split, whole.
        videos: How many of its videos were watched.
        of: How many it has.
        seed: Of the videos drawn, of noise and of shuffled frames.
        plain: "top1" of these videos as they are, and "seconds".
        tests: By their names in TESTS: "videos", "seconds", and what each found; or "left_out":
            why it could not be.
    """

    name: str
    checkpoint: str
    overrides: tuple[str, ...]
    commit: str
    dirty: bool
    split: str
    sha256: str
    videos: int
    of: int
    seed: int
    plain: dict[str, Any]
    tests: dict[str, dict[str, Any]]


def path(file: Path) -> Path:
    """Return where the examination of the record `file` lies: beside it."""
    return file.with_suffix(".examined.json")


def write(file: Path, found: Examination) -> Examination:
    """Write the examination of the record `file`, and return what is written.

    Tests that an earlier one made of the same checkpoint, code and videos are kept in it.

    Raises:
        OSError: it cannot be written.
    """
    try:
        earlier = read(file)
    except UserError:
        earlier = None
    if earlier and replace(earlier, plain={}, tests={}) == replace(found, plain={}, tests={}):
        found = replace(found, tests={**earlier.tests, **found.tests})
    found = replace(found, tests={name: found.tests[name] for name in TESTS if name in found.tests})
    with atomic_write(path(file)) as stream:
        stream.write(f"{json.dumps(asdict(found), indent=2, allow_nan=False)}\n".encode())
    return found


def read(file: Path) -> Examination:
    """Return the examination of the record `file`.

    Raises:
        UserError: there is none, or it is broken.
    """
    place = path(file)
    try:
        plain = json.loads(place.read_text(encoding="utf-8"))
        return Examination(**{**plain, "overrides": tuple(plain["overrides"])})
    except FileNotFoundError:
        raise UserError(f"no examination {place} beside the record") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place}: not an examination: {error}") from None
