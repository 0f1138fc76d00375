"""Whether a recipe can be built: told before anything starts, on a model without weights."""

import numpy as np
import torch

from benchmark.errors import UserError
from benchmark.models import backbone
from benchmark.models.decay import demand_named
from benchmark.models.video_vit import VideoViT
from benchmark.recipes import build, proportion
from benchmark.recipes.schema import Recipe
from datamodules.loading.clips import sampling
from datamodules.loading.samplers import accumulation

CLASSES = 2  # any number: how many there are, the data would have to be asked


def demand_runnable(recipe: Recipe, *, here: bool = True) -> None:
    """Check a recipe before a run of it starts, as far as it goes without its data.

    Args:
        recipe: The recipe.
        here: Whether it is to run on this machine.

    Raises:
        UserError: it cannot be built, or is out of all proportion.
    """
    model = demand_buildable(recipe)
    if here:
        proportion.ask(recipe, proportion.of_model(recipe, model))


def demand_devices(recipe: Recipe) -> None:
    """Check that this machine has the devices that a recipe asks for.

    Raises:
        UserError: it has not.
    """
    wanted, devices = recipe.trainer.accelerator, recipe.trainer.devices
    cards, metal = torch.cuda.device_count(), torch.backends.mps.is_available()
    there = {"cuda": cards, "gpu": cards or int(metal), "mps": int(metal)}
    if wanted in there and max(1, devices) > there[wanted]:
        raise UserError(
            f"trainer.accelerator is {wanted!r} and trainer.devices {devices}; this machine has "
            f"{there[wanted]}; 'cpu' and 'auto' take what there is"
        )


def demand_buildable(recipe: Recipe) -> VideoViT:
    """Return the model of `recipe`, on the meta device; nothing is read but headers of files.

    Raises:
        UserError: its frames cannot be sampled, its batch cannot be split, or its backbone,
            weights, method or `no_decay` is impossible.
    """
    _demand_samplings(recipe)
    devices, how = recipe.trainer.devices, recipe.train.augment
    if devices > 0:  # else it is all there are, where it runs
        accumulation(
            recipe.train.batch,
            devices * recipe.trainer.num_nodes,
            recipe.max_batch_per_device,
            multiple=2 if how.mixup > 0 or how.cutmix > 0 else 1,
        )
    b = recipe.backbone
    with torch.device("meta"):
        vit = backbone.build(b.name, size=recipe.clip.size, options=b.options)
    backbone.demand_weights(vit, b.name, build.weights_of(b))
    try:
        model = build.meta_model(recipe, build.classes_of_text(recipe) or CLASSES)
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{recipe.method['name']} cannot be built: {said[:200]}") from error
    demand_named(model, recipe.optim.no_decay)
    return model


def _demand_samplings(recipe: Recipe) -> None:
    """Let the samplings choose from a video of one frame: they tell what they lack."""
    clip, test = recipe.clip, recipe.test
    for name, clips, rng in (
        (clip.sampling, 1, np.random.default_rng(0)),
        (test.sampling or clip.sampling, test.clips, None),
    ):
        choose = sampling(name, frames=1, interval=clip.interval, seconds=clip.seconds)
        choose(np.zeros(1), clips=clips, rng=rng)
