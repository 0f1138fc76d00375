"""The embedded backbone: a small ViT, pretrained on still digits so that transfer is real."""

import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.models import backbone
from benchmark.models.weights import fingerprint
from benchmark.recipes.build import weights_of
from benchmark.recipes.compose import load
from benchmark.training.optim import adamw, warmup_cosine
from datamodules.datasets._digits import IMAGES, digits, stills

RECIPE = "quick/digits_identity/vit_digits/linear_probe"
STEPS, BATCH, LR, SEED = 1000, 64, 2e-3, 0


def pretrain(output: Path) -> None:
    """Train the backbone to name still digits, and write its weights as bfloat16 to `output`.

    It sees images 0 to 1199, never those of holdout or test clips, in a new pose, ink and noise at
    every step. What is stored is rounded to bfloat16: a megabyte, for the repository.
    """
    recipe = load(RECIPE).backbone
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    images, labels = digits()
    vit = backbone.build(recipe.name, size=32, options=recipe.options)
    model = nn.Sequential(vit, nn.Linear(vit.embed_dim, 10))
    optimizer = adamw(model, lr=LR, head_lr=None, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = warmup_cosine(optimizer, warmup=STEPS // 10, steps=STEPS)

    def draw(numbers: NDArray[np.int64]) -> Tensor:
        pictures = torch.from_numpy(stills(images[numbers], rng)).permute(0, 3, 1, 2)
        mean, std = torch.tensor(recipe.mean), torch.tensor(recipe.std)
        return (pictures / 255 - mean[:, None, None]) / std[:, None, None]

    torch.set_num_threads(1)  # more only wait for each other on pictures this small
    start = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("pretraining", total=STEPS)
        for _ in range(STEPS):
            numbers = rng.choice(IMAGES["train"], BATCH)
            logits = model(draw(numbers))
            loss = F.cross_entropy(logits, torch.from_numpy(labels[numbers]), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            bar.update(task, advance=1, description=f"pretraining, loss {loss.item():.2f}")

    output.parent.mkdir(parents=True, exist_ok=True)
    state = {name: p.detach().bfloat16() for name, p in vit.state_dict().items()}
    safetensors.torch.save_file(state, output)
    vit.load_state_dict({name: p.float() for name, p in state.items()})
    with torch.no_grad():
        held = np.repeat(np.asarray(IMAGES["holdout"]), 5)
        right = model.eval()(draw(held)).argmax(dim=-1) == torch.from_numpy(labels[held])
    committed = backbone.load(
        recipe.name, size=32, weights=weights_of(recipe), options=recipe.options
    )
    same = fingerprint(vit.state_dict()) == fingerprint(committed.state_dict())
    print(
        f"{output}: {right.float().mean():.1%} of held-out stills, "
        f"{time.perf_counter() - start:.0f} s, weights {fingerprint(vit.state_dict())[:12]}, "
        f"{'the same as' if same else 'not bit for bit'} recipes/backbones/{recipe.weights}"
    )
