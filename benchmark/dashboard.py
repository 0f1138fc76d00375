"""The window: wandb. A run is watched there, but nothing is read back from it."""

import hashlib
import netrc
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb
from lightning.pytorch.loggers import WandbLogger


def logger(
    name: str, folder: Path, *, project: str, group: str, config: Mapping[str, Any]
) -> WandbLogger:
    """Return the wandb logger of the run `name`, offline unless the user is logged in.

    Args:
        name: of the run, which is also its id in wandb: started again, it continues.
        folder: where wandb keeps its files.
        project: wandb's word for all of this.
        group: the runs it is compared with, the sweep's.
        config: the resolved recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    method = config["method"]["name"]
    return WandbLogger(
        name=name,
        id=run_id(name),
        save_dir=folder,
        project=project,
        group=group,
        job_type=name.split("/")[-2],
        tags=[config["data"]["name"], config["backbone"]["name"], method],
        mode="online" if logged_in() else "offline",
        config=dict(config),
        settings=wandb.Settings(silent=True, console="off", init_timeout=30),
    )


def run_id(name: str) -> str:
    """Return a run's id in wandb, which allows no slashes in it and not more than 64 characters."""
    plain = re.sub(r"[^\w.=-]+", "-", name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return plain if len(plain) <= 64 else f"{plain[:55]}-{digest}"


def logged_in() -> bool:
    """Tell, without asking the network, whether wandb has a key to log in with."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return False
    settings = wandb.setup().settings
    if settings.api_key:
        return True
    try:
        return netrc.netrc().authenticators(urlsplit(settings.base_url).netloc) is not None
    except (OSError, netrc.NetrcParseError):
        return False
