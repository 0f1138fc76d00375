"""What a run would cost, before it is run: parameters and multiply-accumulates of its recipe."""

from typing import Any

import torch
import yaml

from benchmark import backbone, cost
from benchmark.lookup import find
from benchmark.model import VideoViT
from benchmark.record import ROOT
from benchmark.schema import Recipe

PUBLISHED = ROOT / "results" / "published.yaml"


def profile(recipe: Recipe, num_classes: int) -> dict[str, Any]:
    """Return the cost of `recipe`, counted on a model without weights.

    Returns:
        `trained`, `total` and `head` parameters; `macs_per_view`, of the model that is tested
        (`merged` or not), `views`, `macs` of all views; `training_macs` per clip, forward and
        backward; `checkpoint_bytes`; and `published`, what the papers print for it.
    """
    b = recipe.backbone
    options = {key: value for key, value in recipe.method.items() if key != "name"}
    with torch.device("meta"):
        vit = backbone.build(b.name, size=recipe.clip.size, options=b.options)
        model = VideoViT(vit, recipe.clip.frames, num_classes)
        find("benchmark.methods", recipe.method["name"])(model, **options)
    try:
        tested, merged = model.merge(), True
    except ValueError:
        tested, merged = model, False
    views = recipe.test.clips * recipe.test.crops
    per_view = cost.macs(tested, size=recipe.clip.size)
    return {
        "trained": cost.parameters(model, trained=True),
        "total": cost.parameters(model),
        "head": cost.parameters(model.head),
        "tested": cost.parameters(tested),
        "merged": merged,
        "macs_per_view": per_view,
        "views": views,
        "macs": per_view * views,
        "training_macs": cost.training_macs(model, size=recipe.clip.size),
        "checkpoint_bytes": 4 * cost.parameters(model, trained=True),
        "published": published(recipe, views),
    }


def published(recipe: Recipe, views: int) -> dict[str, Any] | None:
    """Return the published figures of this method, backbone, data, frames and views, if any."""
    _, data, name, method, _ = recipe.name.removeprefix("scratch/").split("/")
    asked = {
        "method": method.partition(",")[0],
        "backbone": name,
        "data": data,
        "frames": recipe.clip.frames,
        "views": views,
    }
    for row in yaml.safe_load(PUBLISHED.read_text()):
        if all(row.get(key) == value for key, value in asked.items()):
            return dict(row)
    return None


def table(found: dict[str, Any]) -> str:
    """Return the cost as a table, the published figures beside ours."""
    theirs = found["published"] or {}
    giga, mega = 1e9, 1e6
    note = ", merged" if found["merged"] else ""
    rows = [
        ("trained parameters", f"{found['trained']:,}", theirs.get("trained_m"), "M"),
        ("  of these the head", f"{found['head']:,}", None, ""),
        ("total parameters, training", f"{found['total']:,}", None, ""),
        (f"total parameters{note}", f"{found['tested']:,}", theirs.get("total_m"), "M"),
        (f"GMACs per view{note}", f"{found['macs_per_view'] / giga:.2f}", None, ""),
        (f"GMACs x {found['views']} views", f"{found['macs'] / giga:.1f}", theirs.get("gmacs"), ""),
        ("GMACs of training a clip", f"{found['training_macs'] / giga:.1f}", None, ""),
        ("checkpoint, MB", f"{found['checkpoint_bytes'] / mega:.1f}", None, ""),
    ]
    lines = [f"{'':28} {'ours':>15}  {'published' if theirs else ''}"]
    for label, ours, their, unit in rows:
        lines.append(
            f"{label:28} {ours:>15}  {'' if their is None else f'{their} {unit}'}".rstrip()
        )
    if theirs:
        lines.append(f"published: {theirs['source']}")
    return "\n".join(lines)
