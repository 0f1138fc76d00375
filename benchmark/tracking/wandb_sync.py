"""Upload what wandb kept while it was offline."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from benchmark.errors import UserError
from benchmark.runs.folder import held
from benchmark.tracking import wandb_session
from datamodules import files


def offline(runs: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders of offline runs in `runs` that were not uploaded yet, the oldest first.

    Those of runs that a process is working on come apart: uploaded now, the rest of them would
    count as uploaded, too.
    """
    found = sorted(runs.glob("**/wandb/offline-run-*"), key=lambda folder: folder.name)
    todo = [each for each in found if any(each.glob("*.wandb")) and not _uploaded(each)]
    busy = [each for each in todo if held(each.parents[1])]
    return [each for each in todo if each not in busy], busy


def _uploaded(folder: Path) -> bool:
    """Return whether wandb marked the run in `folder` as uploaded."""
    return any(folder.glob("*.wandb.synced"))


def upload() -> int:
    """Upload the offline runs of RUNS, and return an exit code.

    Raises:
        UserError: nobody is logged in, or the server does not answer.
    """
    todo, busy = offline(files.RUNS)
    if busy:
        print(f"{len(busy)} not yet uploaded: still being worked on")
    if not todo:
        print(f"nothing to upload in {files.display_path(files.RUNS)}")
        return 0
    server = wandb_session.server()
    if server is None:
        raise UserError(f"{len(todo)} offline to upload, but not logged in to wandb: wandb login")
    _demand_answer(server)  # without one, wandb would wait for it
    # In one call: it takes those of one run in the order they were started.
    command = [sys.executable, "-m", "wandb", "sync", *map(str, todo)]
    environment = {**os.environ, "WANDB_DIR": str(files.RUNS), "WANDB_MODE": "online"}
    subprocess.run(command, env=environment, check=False)
    left = [each for each in todo if not _uploaded(each)]
    print(f"uploaded {len(todo) - len(left)} of {len(todo)}")
    return 1 if left else 0


def _demand_answer(server: str) -> None:
    """Raise a UserError if nobody answers at a URL; whatever it answers is fine."""
    try:
        urlopen(server, timeout=wandb_session.PATIENCE).close()
    except HTTPError:
        pass
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"no wandb server answers at {server}: {reason}") from None
