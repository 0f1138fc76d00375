"""How Lightning's Trainer is made: what a recipe says of where and how precisely it computes."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy

from benchmark.errors import UserError
from benchmark.recipes.schema import Recipe
from benchmark.training import fsdp

# Times the patience with a step, after which a rank that waits for another ends: by then whoever
# watches the run has seen that it stalls, and at what.
WAITING = 4.0


def make_trainer(recipe: Recipe, **more: Any) -> Trainer:
    """Return a Trainer that computes as `recipe` says, and leaves to us what we do ourselves.

    Raises:
        UserError: Lightning has no such device, precision or strategy here.
    """
    try:
        return Trainer(
            precision=recipe.trainer.precision,  # type: ignore[arg-type]
            use_distributed_sampler=False,  # it pads: VideoDataModule shards by itself
            enable_checkpointing=False,  # Lightning's own
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **more,
        )
    except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
        asked = ", ".join(f"{key}={value}" for key, value in asdict(recipe.trainer).items())
        said = " ".join(str(error).split())
        raise UserError(f"trainer ({asked}): {said[:200]}") from error


def trainer_arguments(recipe: Recipe) -> dict[str, Any]:
    """Return the arguments of a Trainer that say on what it trains."""
    asked = asdict(recipe.trainer)
    del asked["precision"]
    waiting = timedelta(seconds=WAITING * recipe.patience.step)
    match asked["strategy"]:
        case fsdp.NAME:
            asked["strategy"] = fsdp.strategy(devices_of(recipe), waiting)
        case "ddp_find_unused_parameters_true":
            asked["strategy"] = DDPStrategy(timeout=waiting, find_unused_parameters=True)
        case "auto" if devices_of(recipe) <= 1:  # or all there are: Lightning sees how many
            pass
        case _:
            asked["strategy"] = DDPStrategy(timeout=waiting)
    return asked


def devices_of(recipe: Recipe) -> int:
    """Return on how many devices a run trains; below 1: on all there are."""
    return recipe.trainer.devices * recipe.trainer.num_nodes


def cluster() -> list[SLURMEnvironment]:
    """Return how a task of Slurm's finds the others; `sweeps.launchers.slurm` requeues it."""
    return [SLURMEnvironment(auto_requeue=False)] if "SLURM_NTASKS" in os.environ else []
