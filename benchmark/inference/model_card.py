"""A model card (Mitchell et al., 2019, https://arxiv.org/abs/1810.03993) from a run's record.

It lies beside the checkpoint it is about, `last.md` beside `last.ckpt`, and tells whoever finds the
two what the model is, how good it is and how sure that is, what it took, and what it is not for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.leaderboard.statistics.estimates import estimate
from benchmark.recipes import compose
from benchmark.recipes.schema import Recipe
from benchmark.results import answers, record
from benchmark.results.record import Record
from benchmark.results.schema import Cost, Metrics
from datamodules.files import atomic_write
from datamodules.progress_bar import format_duration

HEAD = "# Model card: "
ALGORITHMS = {"adamw": "AdamW", "sgd": "SGD"}
SHOWN = 30  # classes by name; the file has all
LIMITS = """\
- It answers with one of its classes, whatever a video shows, and its percentages are no promise:
  `benchmark examine` tells how well they are calibrated, and what blur, noise or lost frames do.
- How it does on other videos than those of its test split, nobody has measured; nor whether it does
  worse for some people, places or cameras than for others.
- Its licence follows from what it was made of: the backbone's weights and the videos have their
  own, which the code's Apache-2.0 does not change.
"""


def path(file: Path) -> Path:
    """Return where the card of a checkpoint or an exported model lies: beside it."""
    return file.with_suffix(".md")


def write(file: Path, recipe: Recipe, classes: Sequence[str], found: Record | None) -> Path:
    """Write the card of the model in `file` beside it, and return where.

    Raises:
        UserError: as `demand_place`.
        OSError: it cannot be written.
    """
    demand_place(file)
    with atomic_write(path(file)) as stream:
        stream.write(render(file, recipe, classes, found).encode())
    return path(file)


def demand_place(file: Path) -> None:
    """Check, before a model is written, that nothing but an older card lies where its card goes.

    Raises:
        UserError: something else does.
    """
    place = path(file)
    if os.path.lexists(place):
        if not place.is_file() or not place.read_bytes().startswith(HEAD.encode()):
            raise UserError(f"{place}: is no model card, which would go there; name another file")


def record_of(recipe: Recipe) -> Record | None:
    """Return the record of the run that made a checkpoint with this recipe, None if none is here.

    A record under the same name of another recipe is not that run's.
    """
    if not recipe.name:
        return None
    try:
        found = record.read(record.path(recipe.name))
    except UserError:
        return None
    return None if compose.changes(found.recipe, asdict(recipe)) else found


def render(file: Path, recipe: Recipe, classes: Sequence[str], found: Record | None) -> str:
    """Return the card of a model as Markdown.

    Args:
        file: The model's.
        recipe: What it is.
        classes: Their names.
        found: What was measured of it; None: nothing was, or it is not known.
    """
    known = [] if found is None else [_accuracy(found), _cost(found), _origin(found)]
    parts = [_about(recipe, classes), _use(file), *known, _data(recipe, classes, found)]
    return "\n\n".join([*parts, _training(recipe), f"## Limits and licence\n\n{LIMITS}"])


def _about(recipe: Recipe, classes: Sequence[str]) -> str:
    clip, test = recipe.clip, recipe.test
    return (
        f"{HEAD}{recipe.method['name']} on {recipe.data['name']}\n\n"
        f"It recognises {len(classes)} classes of action in video: the image model "
        f"`{recipe.backbone.name}` (weights: `{recipe.backbone.weights}`), adapted by "
        f"`{recipe.method['name']}`. It watches "
        f"{test.clips * test.crops} view(s) of {clip.frames} frames, {clip.size} px, and averages "
        f"what it says of them. Its run: `{recipe.name or 'unknown'}`."
    )


def _use(file: Path) -> str:
    name = file.name
    if file.suffix in (".ckpt", ".safetensors"):
        how = f"""\
```
benchmark predict {name} VIDEO
benchmark explain {name} VIDEO -o why.png
benchmark export {name} -o model.onnx
```

```python
import benchmark

trained = benchmark.load_checkpoint("{name}")
logits = trained(trained.views("video.mp4"))  # of each view
```"""
    else:
        how = (
            "It maps frames, uint8 (batch, frames, height, width, RGB), to logits (batch, "
            "classes). "
            "How a clip is made of a video, and the names of the classes, stand in its metadata; "
            "`benchmark/inference/README.md` of the suite has twenty lines that run it."
        )
    return f"## Use\n\n{how}"


def _accuracy(found: Record) -> str:
    m = found.metrics
    split = "test videos" if m.split == "test" else "held-out training videos"
    rows = {
        "top-1": m.top1,
        "top-5": m.top5,
        "top-1, mean over classes": m.mean_class,
        "top-1 of single views": m.clip_top1,
        "top-1, merged": m.merged_top1,
        "always the most frequent class": m.chance,
        "the best that is blind to the order of frames": found.data.order_blind_ceiling,
    }
    lines = [f"| {name} | {100 * v:.1f} % |" for name, v in rows.items() if v is not None]
    table = "\n".join(["| | |", "| --- | --: |", *lines])
    return f"## Accuracy\n\nOf {m.videos:,} {split}.{_interval(found, m)}\n\n{table}"


def _interval(found: Record, metrics: Metrics) -> str:
    """Return a sentence on how sure the top-1 is, empty where the answers are not kept."""
    rests_on = answers.evidence(found)
    if rests_on is None:
        return ""
    try:
        low, high = estimate(rests_on.right[None], rests_on.clusters).interval()
    except ValueError:  # all of one source
        return ""
    return (
        f" For new videos of the kind the top-1 lies between {100 * low:.1f} and "
        f"{100 * high:.1f} % "
        "(95 %, of these very weights; another seed's may lie elsewhere)."
    )


def _cost(found: Record) -> str:
    cost: Cost = found.cost
    views = f"{cost.views} view{'' if cost.views == 1 else 's'}"
    macs = cost.macs_per_view * cost.views
    memory = cost.peak_device_memory_bytes or cost.peak_memory_bytes
    rows: dict[str, str | None] = {
        "parameters trained": f"{cost.trained_parameters:,}",
        "parameters in all": f"{cost.total_parameters:,}{' (merged)' if cost.merged else ''}",
        "multiply-accumulates of an answer": f"{macs / 1e9:,.2f} G, {views}",
        "training": f"{format_duration(cost.train_seconds)} on {found.environment.device}",
        "peak memory of training": f"{memory / 2**30:.1f} GiB" if memory else None,
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join(["## Cost", "", "| | |", "| --- | --: |", *lines])


def _origin(found: Record) -> str:
    e = found.environment
    changed = ", with changes that were not committed" if e.dirty else ""
    by = f" by {_plain(e.measured_by)}" if e.measured_by else ""
    return (
        f"## Origin\n\nMade {found.train.started}{by}, with the code at commit `{e.commit}`"
        f"{changed}, "
        f"torch {e.torch}, timm {e.timm}, lightning {e.lightning}. Backbone's weights: SHA-256 "
        f"`{e.weights}`."
    )


def _data(recipe: Recipe, classes: Sequence[str], found: Record | None) -> str:
    lists = ""
    if found is not None:
        each = (
            f"- {name}: {split.videos:,} videos, SHA-256 of the list `{split.sha256}`"
            for name, split in sorted(found.data.splits.items())
        )
        lists = "\n" + "\n".join(each) + "\n"
    names = ", ".join(map(_plain, classes[:SHOWN]))
    more = f", and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
    return f"## Data\n\n`{recipe.data['name']}`.\n{lists}\nClasses: {names}{more}."


def _training(recipe: Recipe) -> str:
    options = {k: v for k, v in recipe.method.items() if k != "name"}
    rows: Mapping[str, Any] = {
        "method's options": ", ".join(f"{k} {v}" for k, v in options.items()) or "the method's own",
        "epochs": recipe.train.epochs,
        "clips per step": recipe.train.batch,
        "frames": f"{recipe.clip.frames}, {recipe.clip.sampling}",
        "learning rate": f"{recipe.optim.lr:g}, {ALGORITHMS[recipe.optim.algorithm]}",
        "weight decay": f"{recipe.optim.weight_decay:g}",
        "precision": recipe.trainer.precision,
        "seed": recipe.seed,
    }
    lines = [f"| {name} | {_plain(str(value))} |" for name, value in rows.items()]
    return "\n".join(["## Training", "", "| | |", "| --- | --- |", *lines])


def _plain(text: str) -> str:
    """Return a text as Markdown that says just that, in a line and in a table's cell."""
    cleaned = " ".join(text.split())
    return "".join(f"\\{each}" if each in "\\`*_<>[]|#" else each for each in cleaned)
