"""What a run would cost, before it is run: parameters and multiply-accumulates of its recipe."""

from dataclasses import asdict
from typing import Any

from benchmark.cost import counts
from benchmark.recipes import build
from benchmark.recipes.schema import Recipe
from benchmark.results import published


def profile(recipe: Recipe, num_classes: int) -> dict[str, Any]:
    """Return the cost of `recipe`, counted on a model without weights.

    Returns:
        A `ModelCost` by its keys, `macs` of all views, `frames` of a clip and how many of them the
        ViT sees, and `published`, what the papers print for it.
    """
    model, views = build.meta_model(recipe, num_classes), recipe.test.clips * recipe.test.crops
    costs = counts.model_costs(model, size=recipe.clip.size, views=views)
    more = {
        "frames": model.frames,
        "frames_seen": model.frames_seen,
        "macs": costs.macs_per_view * views,
        "published": _published(recipe, views),
    }
    return asdict(costs) | more


def _published(recipe: Recipe, views: int) -> dict[str, Any] | None:
    """Return the row of the papers that is about this configuration, its source written out."""
    everything = published.read()
    row = published.like(everything.rows, recipe.name, frames=recipe.clip.frames, views=views)
    return None if row is None else asdict(row) | {"source": everything.citation(row)}


def table(found: dict[str, Any]) -> str:
    """Return the cost as a table, the published figures beside ours."""
    theirs = found["published"] or {}
    giga, mega = 1e9, 1e6
    note = ", merged" if found["merged"] else ""
    read, seen = found["frames"], found["frames_seen"]
    rows = [
        ("frames", f"{read}" if read == seen else f"{read} ({seen} in the ViT)", None, ""),
        ("trained parameters", f"{found['trained_parameters']:,}", theirs.get("trained_m"), "M"),
        ("  of these the head", f"{found['head_parameters']:,}", None, ""),
        ("total parameters, training", f"{found['total_parameters_training']:,}", None, ""),
        (
            f"total parameters, tested{note}",
            f"{found['total_parameters']:,}",
            theirs.get("total_m"),
            "M",
        ),
        (f"GMACs per view{note}", f"{found['macs_per_view'] / giga:.2f}", None, ""),
        (f"GMACs x {found['views']} views", f"{found['macs'] / giga:.1f}", theirs.get("gmacs"), ""),
        ("GMACs of training a clip", f"{found['training_macs'] / giga:.1f}", None, ""),
        ("checkpoint, MB", f"{found['checkpoint_bytes'] / mega:.1f}", None, ""),
    ]
    lines = [f"{'':32} {'ours':>15}  {'published' if theirs else ''}"]
    for label, ours, their, unit in rows:
        lines.append(
            f"{label:32} {ours:>15}  {'' if their is None else f'{their} {unit}'}".rstrip()
        )
    if theirs:
        lines.append(f"published: {theirs['source']}")
        lines += [f"doubt: {each}" for each in theirs["doubts"]]
    return "\n".join(lines)
