"""The evidence of tuning: every trial of a method, what was chosen, and on which videos.

It lies at `RESULTS/P/tuning/D/B/M.json`, beside the records of the runs that use the choice.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmark.errors import UserError
from benchmark.results import record
from benchmark.results.schema import Fraction, SplitChecksum, parse
from datamodules.files import atomic_write

FOLDER = "tuning"  # of a protocol's results
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A run that scored the holdout, with its last weights."""

    settings: dict[str, Any]  # a key of the recipe -> the value tried
    seed: int
    top1: Fraction | None = None  # None: its training diverged
    device_seconds: float | None = None
    commit: str | None = None  # of the code


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a choice rests on."""

    name: str  # protocol/data/backbone/method
    recipe: dict[str, Any]  # that of a trial, resolved
    space: dict[str, Any]  # what was declared: a key -> its range, or its values
    widened: dict[str, tuple[int, ...]]  # a key -> values added below its range, and above it
    clips: int  # trained on, in all trials together
    epochs: int  # of a trial
    holdout: SplitChecksum  # what was scored
    trials: tuple[Trial, ...]
    chosen: dict[str, Any]  # the settings of the best
    edges: tuple[str, ...]  # keys of which the chosen value is the lowest or the highest tried

    @property
    def top1(self) -> float:
        """The accuracy on the holdout of what was chosen, the mean over seeds."""
        found = means(self.trials)
        return next(
            top1 for settings, top1 in found if settings == self.chosen and top1 is not None
        )

    def write(self) -> Path:
        """Write the evidence to its place, whole or not at all, and return that place."""
        file = path(self.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=1, allow_nan=False)
        with atomic_write(file) as stream:
            stream.write(f"{text}\n".encode())
        return file


def path(name: str) -> Path:
    """Return where the evidence of `protocol/data/backbone/method` lies."""
    protocol, _, rest = name.partition("/")
    return record.RESULTS / protocol / FOLDER / f"{rest}.json"


def read(file: Path) -> Evidence | None:
    """Return the evidence in `file`, None where there is none.

    Raises:
        UserError: it is broken, or of a newer version.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        version = found.pop("version")
        if version != VERSION:
            raise ValueError(f"version is {version!r}, this code reads {VERSION}")
        evidence: Evidence = parse(Evidence, found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{file}: no evidence of tuning: {error}; remove it to tune anew") from None
    return evidence


def evidence(protocol: str) -> list[Evidence]:
    """Return all evidence of a protocol, by name.

    Raises:
        UserError: some of it is broken.
    """
    files = sorted((record.RESULTS / protocol / FOLDER).glob("*/*/*.json"))
    return [found for file in files if (found := read(file))]


def means(trials: Iterable[Trial]) -> list[tuple[dict[str, Any], float | None]]:
    """Return each settings that were tried, and its mean accuracy over seeds; None: it diverged."""
    found: dict[str, tuple[dict[str, Any], list[float | None]]] = {}
    for each in trials:
        key = json.dumps(each.settings, sort_keys=True)
        found.setdefault(key, (each.settings, []))[1].append(each.top1)
    return [
        (settings, None if None in scores else fmean(each for each in scores if each is not None))
        for settings, scores in found.values()
    ]


def choose(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the settings with the best accuracy on the holdout.

    Of several that are equally right, in the order of their values, the one in the middle: it is
    the farthest from where things get worse.

    Raises:
        UserError: every trial diverged.
    """
    scored = [(settings, top1) for settings, top1 in means(trials) if top1 is not None]
    if not scored:
        raise UserError("the training of every trial diverged; lower the range in tuning.space")
    most = max(top1 for _, top1 in scored)
    best = [settings for settings, top1 in scored if top1 == most]
    best.sort(key=lambda settings: [_order(value) for value in settings.values()])
    return best[(len(best) - 1) // 2]


def _order(value: Any) -> tuple[float, str]:
    number = isinstance(value, int | float)
    return (float(value), "") if number else (0.0, json.dumps(value))


def edges(
    trials: Iterable[Trial], chosen: Mapping[str, Any], ranges: Iterable[str]
) -> dict[str, tuple[bool, bool]]:
    """Return the keys with ranges of which the chosen value is the lowest, or the highest, tried.

    Returns:
        Per such key whether it is the lowest, and whether it is the highest.
    """
    tried = [each.settings for each in trials]
    found = {}
    for key in ranges:
        values = {settings[key] for settings in tried}
        ends = chosen[key] == min(values), chosen[key] == max(values)
        if any(ends) and len(values) > 1:
            found[key] = ends
    return found
