"""A run of wandb: opened and closed so that nothing that is wrong with wandb lasts, or stops us."""

import hashlib
import netrc
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb

PATIENCE = 20.0  # seconds for a server to answer when a run starts
FAREWELL = 60.0  # seconds for the last data to be uploaded; what is left is uploaded by hand
LONGEST = 128  # characters the server takes in a name
LONGEST_TAG = 64


def opened(
    name: str,
    folder: Path,
    *,
    project: str,
    group: str,
    job_type: str,
    tags: Sequence[str],
    config: Mapping[str, Any],
    resume: bool = False,
) -> Any:
    """Return a run of wandb, offline unless the user is logged in and the server answers.

    Its files of earlier times are removed: it is told all of it again.

    Args:
        name: of the run, which also makes its id.
        folder: where wandb keeps its files, in a folder of its own.
        project: where it stands, with all runs of ours.
        group: of the runs it is compared with.
        job_type: what is different about it in this group.
        tags: to find it by.
        config: what made it.
        resume: go on where the server's ends, instead of replacing it.

    Raises:
        Exception: whatever wandb raises.
    """
    mode = _mode()
    folder.mkdir(parents=True, exist_ok=True)

    def start(mode: Any) -> Any:
        return wandb.init(
            name=_cut(name, LONGEST),
            id=run_id(name),
            dir=folder,
            project=project,
            group=_cut(group, LONGEST),
            job_type=_cut(job_type, LONGEST),
            tags=[_cut(tag, LONGEST_TAG) for tag in tags],
            config=dict(config),
            mode=mode,
            resume="allow" if resume and mode == "online" else None,
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", PATIENCE)),
                finish_timeout=FAREWELL,
                finish_timeout_raises=True,
            ),
        )

    try:
        run = start(mode)
    except Exception as error:
        if mode != "online":
            raise
        give_up(error, "it is kept offline")  # or the id would be in use
        run = start("offline")
    if mode != "disabled":
        for earlier in (folder / "wandb").glob(f"*run-*-{run.id}"):
            if earlier != Path(run.settings.sync_dir):
                shutil.rmtree(earlier, ignore_errors=True)
    return run


def keep(run: Any, files: Sequence[Path]) -> None:
    """Keep files as an artifact of a run, of type "model" and called as the run's id."""
    if files:
        artifact = wandb.Artifact(run.id, type="model")
        for file in files:
            artifact.add_file(str(file), name=file.name)
        run.log_artifact(artifact)


def closed(run: Any, exit_code: int = 0) -> None:
    """End a run of wandb; what a slow server did not take is kept for `make wandb-sync`."""
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError as error:
        folder = Path(run.settings.sync_dir)
        folder.rename(folder.with_name(f"offline-{folder.name}"))
        _warn(error, "make wandb-sync uploads what is left")


def give_up(error: Exception, so: str) -> None:
    """Say in one line what went wrong and what comes of it, and end all that runs of wandb."""
    _warn(error, so)
    with suppress(Exception):  # left to the exit, either would end in a traceback
        if wandb.run is not None:
            wandb.run.finish(exit_code=1)
    with suppress(Exception):
        wandb.teardown(exit_code=1)


def run_id(name: str) -> str:
    """Return a run's id in wandb, which allows no slashes in it and not more than 64 characters."""
    plain = re.sub(r"[^\w.=-]+", "-", name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return plain if len(plain) <= 64 else f"{plain[:55]}-{digest}"


def server() -> str | None:
    """Return, without asking the network, where wandb has a key to log in with, if anywhere."""
    settings = wandb.setup().settings
    if settings.api_key:
        return settings.base_url
    try:
        known = netrc.netrc().authenticators(urlsplit(settings.base_url).netloc)
    except (OSError, netrc.NetrcParseError):
        return None
    return settings.base_url if known else None


def _mode() -> str:
    """Return what the user asks wandb for; where it would ask for a key, offline."""
    asked = wandb.setup().settings.mode
    if asked in ("disabled", "offline", "dryrun"):
        return "disabled" if asked == "disabled" else "offline"
    return "online" if server() else "offline"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _warn(error: Exception, so: str) -> None:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    print(f"warning: wandb: {reason}; {so}", file=sys.stderr)
