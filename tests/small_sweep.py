"""The command line on a small sweep of digits, `mine`, in processes of its own."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark import recipe

SMALL = {"data.train": 48, "data.holdout": 16, "data.test": 16, "train.batch": 8}
CODE = """
import sys
from pathlib import Path
from benchmark import on_slurm, recipe
from benchmark.__main__ import main
recipe.RECIPES = Path(sys.argv[1]) / "recipes"
on_slurm.POLL = 0.5
sys.exit(main(sys.argv[2:]))
"""


def write(folder: Path, **keys: object) -> None:
    """Write recipes with the sweep: by default three epochs of two methods, seconds each."""
    (folder / "recipes" / "sweeps").mkdir(parents=True, exist_ok=True)
    for each in recipe.RECIPES.iterdir():
        if each.name != "sweeps" and not (folder / "recipes" / each.name).exists():
            (folder / "recipes" / each.name).symlink_to(each)
    options = {**SMALL, "train.epochs": 3, "workers": 1, "wandb.enabled": "false"}
    whole: dict[str, object] = {
        "protocol": "quick",
        "data": ["digits_motion"],
        "backbone": ["vit_digits"],
        "method": ["linear_probe", "zeroi2v"],
        "seed": [1],
        "overrides": [f"{key}={value}" for key, value in options.items()],
    }
    (folder / "recipes" / "sweeps" / "mine.yaml").write_text(json.dumps(whole | keys))


def start(folder: Path, *argv: str, **environment: str) -> "subprocess.Popen[str]":
    """Start the command line, with all that it leaves in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder), *argv],
        env={
            **os.environ,
            "RUNS": str(folder / "runs"),
            "RESULTS": str(folder / "results"),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """Return what the command line says, once it has ended with `code`."""
    out, _ = process.communicate(timeout=500)
    assert process.returncode == code, out
    return out


def wait(condition: Callable[[], Any], seconds: float = 250) -> Any:
    """Return what `condition` returns once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the metrics and the curve of every record in `folder`, by the method's name."""
    found = {}
    for file in sorted((folder / "results").rglob("seed1.json")):
        record = json.loads(file.read_text())
        name = re.split("[,/]", record["name"].split("/vit_digits/")[1])[0]
        found[name] = record["metrics"] | {"curve": record["train"]["curve"]}
    return found


def resumed(folder: Path, method: str) -> int:
    """Return how often the run of `method` was taken up again."""
    (file,) = (folder / "results").rglob(f"{method}*/seed1.json")
    return int(json.loads(file.read_text())["train"]["resumed"])


def work(folder: Path, method: str) -> Path:
    """Return where the run of `method` works."""
    (place,) = (folder / "runs").rglob(f"{method}*/seed1")
    return place


def saved(folder: Path, method: str) -> list[Path]:
    """Return where the runs of `method` that have saved work; folders may go while this looks."""
    places = (Path(place) for place, _, files in os.walk(folder / "runs") if "last.ckpt" in files)
    return [each for each in places if each.parent.name.startswith(method)]


def stages(folder: Path) -> list[str]:
    """Return the stages that a run has told, in their order."""
    lines = (folder / "progress.jsonl").read_text().splitlines()
    return [json.loads(line)["stage"] for line in lines]


def needed(there: bool, what: str) -> None:
    """Skip a test where `what` is not there; in CI, which brings it along, fail."""
    if not there:
        (pytest.fail if os.environ.get("CI_SERVICES") else pytest.skip)(f"no {what} here")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the metrics of the sweep as run on this machine, once for all workers of pytest."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "local_sweep"
    folder.mkdir(exist_ok=True)
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if len(metrics(folder)) < 2:
            write(folder)
            finish(start(folder, "sweep", "mine"))
    return metrics(folder)
