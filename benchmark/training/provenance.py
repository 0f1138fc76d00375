"""Where a record comes from: its data, the code, the versions, the weights, the machine."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path

import torch
import torch.distributed as dist
from lightning import Trainer

from benchmark.recipes.tuned import is_tuned
from benchmark.results.schema import DataProvenance, Environment, SplitChecksum
from benchmark.results.speed import processor
from benchmark.training.evaluation import Scores
from datamodules.datamodule import VideoDataModule
from datamodules.files import ROOT
from datamodules.identity import DataIdentity
from datamodules.sanity import shared_files

PACKAGES = ("torch", "torchvision", "lightning", "timm", "av", "pytorchvideo", "torchmetrics")


def data_provenance(
    data: VideoDataModule,
    identity: DataIdentity,
    broken: Collection[int],
    scores: Scores,
    copies: Collection[int] | None = None,
) -> DataProvenance:
    """Return what the data was: checksums, the holdout, and what could not be decoded.

    Args:
        data: What was trained and tested on.
        identity: Which data that was.
        broken: Indices of the training videos that could not be decoded.
        scores: Of the test.
        copies: Indices of the videos tested that an audit found in training; None: there is none.
    """
    dataset = data.data
    classes = "\n".join(dataset.classes)
    broken_test = scores.index[scores.broken].tolist()
    return DataProvenance(
        name=dataset.name,
        splits={
            name: SplitChecksum(videos=len(split), sha256=split.sha256())
            for name, split in dataset.splits.items()
        },
        classes=tuple(dataset.classes),
        classes_sha256=hashlib.sha256(classes.encode()).hexdigest(),
        order_blind_ceiling=dataset.order_blind_ceiling,
        chosen=dataset.chosen,
        holdout=dataset.held_out,
        broken=tuple(sorted(broken)),
        listed=identity.splits,
        broken_test=tuple(broken_test),
        broken_names=tuple(map(dataset.splits["train"].name, sorted(broken))),
        broken_test_names=tuple(map(dataset.splits[data.evaluation_split].name, broken_test)),
        shared=len(shared_files(dataset)),
        shared_content=None if copies is None else len(copies),
        decoded=decoded_share(data),
    )


def decoded_share(data: VideoDataModule) -> float | None:
    """Return how many clips all ranks decoded per training clip, None where none was shared."""
    everyone: list[list[int] | None] = [data.decoded]
    if dist.is_available() and dist.is_initialized():
        everyone = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, data.decoded)
    decoded, got = (sum(each) for each in zip(*filter(None, everyone), strict=True))
    return round(decoded / got, 4) if got else None


def environment(
    code: tuple[str, bool],
    own: Mapping[str, str],
    fingerprint: str,
    decoder: str,
    trainer: Trainer,
    out_of_memory: tuple[int, ...] | None = None,
) -> Environment:
    """Return the code, the versions, the weights and the machine of this run.

    Args:
        code: As `code_state` says.
        own: Files of a folder of somebody's own that the run imports, and their checksums.
        fingerprint: Of the backbone's weights.
        decoder: And its version.
        trainer: The run's.
        out_of_memory: With how many clips at once memory ran out; None: it never did.
    """
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    device = gpu if gpu and trainer.strategy.root_device.type == "cuda" else processor()
    return Environment(
        commit=code[0],
        dirty=code[1],
        external=dict(own) or None,
        weights=fingerprint,
        python=platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        decoder=decoder,
        device=device,
        precision=str(trainer.precision),  # of what Lightning made of the recipe's
        threads=torch.get_num_threads(),
        world_size=trainer.world_size,
        out_of_memory=out_of_memory,
        measured_by=measured_by(),
    )


def measured_by() -> str | None:
    """Return who runs this: what MEASURED_BY says, else git's user.name; None: nobody is named.

    An empty MEASURED_BY names nobody.
    """
    if (said := os.environ.get("MEASURED_BY")) is None:
        command = ["git", "-C", str(ROOT), "config", "user.name"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        except OSError:
            return None
    return " ".join(said.split()) or None


CODE = ("benchmark", "datamodules", "recipes", "pyproject.toml", "constraints.txt")


def code_state(root: Path = ROOT) -> tuple[str, bool]:
    """Return the commit of the code in `root`, and whether the code differs from it.

    Only code counts (`CODE`): the output of a sweep or of tuning never makes records dirty, which
    hold what was tuned. Without git, or inside somebody else's repository, the answer is
    ("unknown", True).
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root.resolve():
            return "unknown", True
        commit = git("rev-parse", "--verify", "HEAD")
        status = git("status", "--porcelain", "-z", "-uall", "--no-renames", "--", *CODE)
        changed = (root / line[3:] for line in status.split("\0") if line)
        return commit, not all(is_tuned(file, root / "recipes") for file in changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True
