"""The papers' numbers, as `results/published.yaml` has them, each with its source."""

from typing import Any

import yaml

from benchmark.recipes.name import RunName
from benchmark.recipes.schema import Recipe
from datamodules.files import ROOT

PUBLISHED = ROOT / "results" / "published.yaml"


def published(recipe: Recipe, views: int) -> dict[str, Any] | None:
    """Return the published figures of this method, backbone, data, frames and views, if any."""
    run = RunName.parse(recipe.name)
    asked = {
        "method": run.method,
        "backbone": run.backbone,
        "data": run.data,
        "frames": recipe.clip.frames,
        "views": views,
    }
    for row in yaml.safe_load(PUBLISHED.read_text()):
        if all(row.get(key) == value for key, value in asked.items()):
            return dict(row)
    return None
