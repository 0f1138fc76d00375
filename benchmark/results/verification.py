"""Verification: whether a record says what follows from the answers and the videos beside it.

Recomputed are all metrics but those in NOT_IN_BITS, and every checksum whose content is kept. Which
videos share a source is of no checksum: it is compared with the dataset, where that is here and is
not one that this code would have to draw first. What somebody makes up consistently, answers and
all, only a run of the same recipe can tell.
"""

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.recipes.compose import PACKAGES
from benchmark.recipes.name import RunName
from benchmark.results import answers, predictions, record, splits
from benchmark.results.answers import NOT_IN_BITS, metrics_of
from benchmark.results.record import Record
from datamodules.dataset_info import DatasetInfo, Split

TOLERANCE = {"mean_class": 1e-12}  # relative: a sum over classes, whose order may differ
DIGITS = 10  # that are told of a fingerprint


@dataclass(frozen=True)
class Verdict:
    """What there is to say against a record.

    Attributes:
        file: It.
        problems: A line each, which names the key; none: the record is fine.
        record: What it holds; None: it is no record.
        checked: The metrics that follow from its answers.
        unchecked: Those that it has and its answers cannot tell.
    """

    file: Path
    problems: tuple[str, ...]
    record: Record | None = None
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def verify(files: Iterable[Path]) -> list[Verdict]:
    """Return what there is to say against each of the records `files`.

    Together they must agree on the weights: a protocol's backbone has one fingerprint, unless its
    weights are drawn at random from the seed.
    """
    lister = _lister()
    found = [_verdict(file, lister) for file in files]
    backbones: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in found:
        if each.record and (backbone := _backbone(each.record)):
            backbones[backbone].append(each.record.environment.weights)
    common = {key: Counter(prints).most_common(1)[0] for key, prints in backbones.items()}

    def compared(verdict: Verdict) -> Verdict:
        backbone = verdict.record and _backbone(verdict.record)
        if not verdict.record or not backbone:
            return verdict
        (usual, times), own = common[backbone], verdict.record.environment.weights
        if own == usual:
            return verdict
        said = f"that of {times} others of {backbone[1]} is {usual[:DIGITS]}..."
        line = f"environment.weights is {own[:DIGITS]}..., {said}"
        return replace(verdict, problems=(*verdict.problems, line))

    return [compared(each) for each in found]


def _backbone(run: Record) -> tuple[str, str] | None:
    """Return protocol and backbone of a record, None where its weights are those of a seed."""
    name, backbone = RunName.parse(run.name), run.recipe.get("backbone")
    weights = backbone.get("weights") if isinstance(backbone, dict) else None
    return None if weights == "random" or name.scratch else (name.protocol, name.backbone)


Lister = Callable[[str], Mapping[str, Split]]  # the splits of a recipe's data, given as JSON


def _lister() -> Lister:
    """Return what lists each dataset once; no split of one that is drawn, or not here."""

    @cache
    def listed(options: str) -> Mapping[str, Split]:
        plain = json.loads(options)
        try:
            if lookup.fact(PACKAGES["data"], plain["name"], "DRAWN"):
                return {}
            data: DatasetInfo = lookup.call(PACKAGES["data"], plain)
        except (UserError, KeyError, TypeError):  # the latter two: of what is no recipe's
            return {}
        return data.splits

    return listed


def _verdict(file: Path, lister: Lister) -> Verdict:
    try:
        run = record.read(file)
    except UserError as error:
        return Verdict(file, (str(error).removeprefix(f"{file}: "),))
    found = [*_names(run, file), *_fingerprints(run), *_classes(run)]
    try:
        said = answers.read(file)
        tested = splits.read(file, run.data.splits[run.metrics.split].sha256)
        computed = metrics_of(said, tested)
        scores = predictions.read(file)
    except UserError as error:
        return Verdict(file, (*found, str(error)), run)
    own = {key: value for key, value in vars(run.metrics).items() if value is not None}
    unsure = {*NOT_IN_BITS}
    if not answers.path(file).exists():  # an older record, whose scores are not of the merged model
        unsure |= {"merged_top1", "merged_top1_change"}
    del computed["chance"]  # it is of the videos, and older records lack it
    found += [*_metrics(own, computed, unsure), *_videos(run, tested)]
    found += _clusters(run, tested, lister)
    if scores and not np.array_equal(scores.labels, tested.labels):
        found.append(f"{predictions.path(file).name}: its labels are not those of the split")
    return Verdict(
        file,
        tuple(found),
        run,
        tuple(key for key in own if key in computed and key not in unsure),
        tuple(key for key in own if key in unsure),
    )


def _names(run: Record, file: Path) -> Iterator[str]:
    if not file.absolute().as_posix().endswith(f"/{run.name}.json"):
        yield f"name is {run.name!r}, which is not where it lies"
    if (named := run.recipe.get("name", run.name)) != run.name:
        yield f"recipe.name is {named!r}, not {run.name!r}"
    seed = RunName.parse(run.name).seed
    if (own := run.recipe.get("seed", seed)) != seed:
        yield f"recipe.seed is {own!r}, not {seed}"


def _fingerprints(run: Record) -> Iterator[str]:
    """Yield which commit or checksum is no such thing, whatever it is of."""
    commit = run.environment.commit
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        yield f"environment.commit is {commit!r}, not the 40 hex digits of a commit"
    checksums = {"environment.weights": run.environment.weights}
    checksums |= {f"data.splits.{name}.sha256": s.sha256 for name, s in run.data.splits.items()}
    for key, value in checksums.items():
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            yield f"{key} is {value!r}, not the 64 hex digits of a SHA-256"


def _classes(run: Record) -> Iterator[str]:
    computed = hashlib.sha256("\n".join(run.data.classes).encode()).hexdigest()
    if run.data.classes_sha256 != computed:
        yield f"data.classes_sha256 is {run.data.classes_sha256!r}, data.classes give {computed!r}"


def _metrics(own: dict[str, Any], computed: dict[str, float], unsure: set[str]) -> Iterator[str]:
    for key, value in computed.items():
        if key not in own:
            yield f"metrics.{key} is missing, the answers give {value}"
        elif not math.isclose(own[key], value, rel_tol=TOLERANCE.get(key, 0.0)):
            yield f"metrics.{key} is {own[key]}, the answers give {value}"
    for key in sorted(own.keys() - computed.keys() - unsure - {"split", "chance"}):
        yield f"metrics.{key} is {own[key]}, the answers give none"


def _clusters(run: Record, tested: Split, lister: Lister) -> Iterator[str]:
    split, options = run.metrics.split, run.recipe.get("data")
    listed = lister(json.dumps(options, sort_keys=True)).get(split) if options else None
    if listed is None or listed.sha256() != run.data.splits[split].sha256:
        return  # the dataset is not here, or other videos of it were tested
    if not np.array_equal(listed.clusters, tested.clusters):
        name = f"{splits.FOLDER}/{run.data.splits[split].sha256[: splits.DIGITS]}.npz"
        yield f"{name}: which videos share a source is not what {run.data.name} says"


def _videos(run: Record, tested: Split) -> Iterator[str]:
    """Yield what of the record is not so of the videos that were tested."""
    split, classes = run.metrics.split, len(run.data.classes)
    if (said := run.data.splits[split].videos) != len(tested):
        yield f"data.splits.{split}.videos is {said}, the split has {len(tested)}"
    counts = np.bincount(tested.labels, minlength=classes)
    if len(counts) > classes:
        yield f"data.classes are {classes}, the split has labels up to {len(counts) - 1}"
    chance = int(counts.max()) / len(tested)
    if run.metrics.chance not in (None, chance):
        yield f"metrics.chance is {run.metrics.chance}, the labels give {chance}"
    listed = (run.data.listed or {}).get(split)
    if listed is None or listed.sha256 != run.data.splits[split].sha256:
        return  # an older record; or other videos are listed than tested
    if listed.videos != len(tested):
        yield f"data.listed.{split}.videos is {listed.videos}, the split has {len(tested)}"
    if listed.per_class not in (None, tuple(counts.tolist())):
        yield f"data.listed.{split}.per_class is not how many labels of each class there are"
    names = hashlib.sha256("".join(f"{name}\n" for name in tested.names()).encode()).hexdigest()
    if listed.names_sha256 not in (None, names):
        yield f"data.listed.{split}.names_sha256 is not that of the names that were tested"
