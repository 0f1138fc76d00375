"""The same training on one device and on several, whole or in parts, is the same training."""

import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import RANKS, Process

pytestmark = pytest.mark.slow

NAME = "quick/digits_motion/vit_digits/zeroi2v/seed1"
SMALL = (
    *("data.train=53", "data.holdout=16", "data.test=18", "train.batch=12", "train.epochs=2"),
    "train.drop_last=false",  # 5 clips of every epoch make a smaller step
    *("method.dropout=0", "wandb.enabled=false"),  # what is dropped depends on the rank
)

STARTED = ("trainer.devices=2", "max_batch_per_device=2")  # whose ranks Lightning starts itself


def run(folder: Path, *overrides: str, launcher: Sequence[str] = ()) -> Process:
    env = {**os.environ, "RUNS": str(folder / "runs"), "RESULTS": str(folder / "results")}
    return Process(*launcher, "benchmark.run", NAME, *SMALL, *overrides, env=env)


def curve(folder: Path, process: Process) -> tuple[dict[str, Any], Any, Any]:
    """Return record, losses per epoch and per-video scores of a run once it is done."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    (file,) = (folder / "results").rglob("seed1.json")
    found = json.loads(file.read_text())
    with np.load(file.with_suffix(".npz")) as arrays:
        return found, [entry["loss"] for entry in found["train"]["curve"]], arrays["scores"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any, Any]:
    folder = tmp_path_factory.mktemp("alone")
    return curve(folder, run(folder))


@pytest.mark.parametrize(
    "how",
    [
        ("trainer.devices=3",),
        ("max_batch_per_device=5",),
        STARTED,
        ("trainer.devices=2", "trainer.strategy=fsdp"),
    ],
    ids=" ".join,
)
def test_loss_and_scores_agree_with_one_device(
    alone: tuple[dict[str, Any], Any, Any],
    tmp_path: Path,
    how: tuple[str, ...],
    record_property: Callable[[str, object], None],
) -> None:
    record, losses, scores = alone
    launcher = RANKS if how != STARTED else ()
    found, again, others = curve(tmp_path, run(tmp_path, *how, launcher=launcher))
    assert found["name"] == record["name"]  # how it is run is not what it is
    assert found["train"]["steps"] == record["train"]["steps"]
    gap = max(abs(a - b) for a, b in zip(losses, again, strict=True))
    record_property("one device and several", f"{' '.join(how)}: loss curves differ by {gap:.1e}")
    np.testing.assert_allclose(again, losses, rtol=1e-5)
    np.testing.assert_allclose(others, scores, atol=1e-4)
    trained = ("trained_parameters", "total_parameters", "macs_per_view")
    assert all(found["cost"][key] == record["cost"][key] for key in trained)


def test_torchrun_takes_a_run_to_two_nodes(
    alone: tuple[dict[str, Any], Any, Any], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = ("--nnodes=2", "--master-addr=127.0.0.1", f"--master-port={port}", "--nproc-per-node=1")
    first, second = (
        run(
            tmp_path,
            *("trainer.num_nodes=2", "trainer.devices=1"),
            launcher=("torch.distributed.run", f"--node-rank={node}", *meet, "-m"),
        )
        for node in range(2)
    )
    _, losses, scores = alone
    _, again, others = curve(tmp_path, first)
    _, stderr = second.communicate(timeout=60)
    assert second.returncode == 0, stderr
    np.testing.assert_allclose(again, losses, rtol=1e-5)
    np.testing.assert_allclose(others, scores, atol=1e-4)


def test_a_batch_that_cannot_be_split_is_told_with_those_that_can(tmp_path: Path) -> None:
    process = run(tmp_path, "trainer.devices=2", "train.batch=13")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "the nearest that can: 12 or 14" in stderr and "Traceback" not in stderr
