"""Which clips are the same: everything that they are a function of, in one checksum."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from datamodules.dataset_info import DatasetInfo
from datamodules.files import file_state
from datamodules.transforms.settings import Augment

PACKAGES = ("av", "torchcodec", "numpy", "torch", "torchvision")
CODE = Path(__file__).parents[1]
AT_ONCE = 16  # files that are looked at: on a network each takes its time


def training_key(
    data: DatasetInfo,
    choose: Mapping[str, Any],
    augment: Augment,
    *,
    size: int,
    interpolation: str,
    seed: int,
    decoder: str,
) -> str:
    """Return what tells the training clips of a dataset from all others.

    Of the videos it is names, labels, parts, sizes and times of change: holdout and shots, too,
    which are which videos there are. Where they lie counts as well.

    Args:
        data: The dataset, its holdout being held out.
        choose: Which frames: the name of a sampling and its options.
        augment: How clips are varied.
        size: H and W, in pixels.
        interpolation: Of every resize.
        seed: Of all that is random.
        decoder: "pyav" or "torchcodec".
    """
    split = data.splits["train"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = [*pool.map(lambda name: file_state(split.root, name), split.names())]
    said = {
        "videos": split.sha256(),
        "root": str(Path(split.root).absolute()),
        "files": hashlib.sha256(repr(states).encode()).hexdigest(),
        "flip": [data.flip, data.swaps],
        "choose": dict(choose),
        "augment": asdict(augment),
        "clip": [size, interpolation, decoder],
        "seed": seed,
        "code": code_fingerprint(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@cache
def code_fingerprint() -> str:
    """Return a checksum of the code that makes clips: all of `datamodules`."""
    digest = hashlib.sha256()
    for file in sorted(CODE.rglob("*.py")):
        digest.update(f"{file.relative_to(CODE)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
