"""Tuned files: `protocols/P/D/B/M.yaml`, where a method's choice stands for recipes to read.

`benchmark tune` writes them: the chosen values, and `tuned`, which says on what they were chosen.
What else a file sets of the method, by hand, stays, and so do its comments at the top.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import UserError
from benchmark.lookup import external
from benchmark.recipes import compose
from benchmark.recipes.name import RunName
from datamodules.files import atomic_write, demand_writable

HEADING = "# Tuned: "  # begins the first line


def path(name: str) -> Path:
    """Return the tuned file of `protocol/data/backbone/method`.

    It lies in a folder of your own where one of the four does.
    """
    found, run = compose.path(f"protocols/{name}"), RunName.parse(name)
    if found.exists() or (own := external.recipes()) is None:
        return found
    parts = [f"{folder}/{getattr(run, axis)}" for axis, folder in compose.AXES.items()]
    return found if all(map(compose.is_ours, parts)) else own / "protocols" / f"{name}.yaml"


def write(name: str, chosen: Mapping[str, Any], tuned: Mapping[str, Any], heading: str) -> Path:
    """Write a method's choice, and return the file.

    Args:
        name: protocol/data/backbone/method.
        chosen: A key of the recipe -> its value.
        tuned: On what it was chosen.
        heading: What the first line says of it.

    Raises:
        UserError: the file that is there is none, or cannot be written.
    """
    file = path(name)
    demand_writable(file)
    comments, values = list[str](), dict[str, Any]()
    if file.exists():
        values = dict(compose.read(f"protocols/{name}"))
        for line in file.read_text("utf-8").splitlines():
            if not line.startswith("#"):
                break
            comments += [] if line.startswith(HEADING) else [line]
    for key, value in chosen.items():
        _set(values, key, value)
    values.pop("tuned", None)
    text = yaml.safe_dump({**values, "tuned": dict(tuned)}, sort_keys=False)
    with atomic_write(file) as stream:
        stream.write("\n".join([f"{HEADING}{heading}", *comments, text]).encode())
    return file


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    section, _, rest = key.partition(".")
    if not rest:
        values[section] = value
        return
    inner = values.setdefault(section, {})
    if not isinstance(inner, dict):
        raise UserError(f"{section} holds keys of its own, not the value {inner!r}")
    _set(inner, rest, value)


def is_tuned(file: Path, recipes: Path) -> bool:
    """Return whether `file`, in the folder `recipes`, is one that `benchmark tune` has written."""
    place = recipes / "protocols"
    if not file.is_relative_to(place) or len(file.relative_to(place).parts) != 4:
        return False
    try:
        return file.read_text("utf-8").startswith(HEADING)
    except (OSError, ValueError):
        return False
