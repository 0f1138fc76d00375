"""A folder of your own beside ours: BENCHMARK_PATH names it, with methods/, datasets/ and recipes/.

What lies there is found as ours is, by its file's name, and stands on the board beside it: no fork,
nothing to register. A name that ours have is refused, for a run's name would say two things.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.errors import UserError
from datamodules.files import display_path

VARIABLE = "BENCHMARK_PATH"
FOLDERS = {"benchmark.methods": "methods", "datamodules.datasets": "datasets"}  # of a package


def folder() -> Path | None:
    """Return the folder of your own, None where none is named.

    Raises:
        UserError: it is not there.
    """
    if not (said := os.environ.get(VARIABLE)):
        return None
    found = Path(os.path.expanduser(said)).absolute()
    if not found.is_dir():
        raise UserError(
            f"{VARIABLE}={said}: there is no such folder; it holds methods/, datasets/ or recipes/"
        )
    return found


def variable() -> dict[str, str]:
    """Return the variable for processes that start elsewhere, where a relative path is another."""
    return {VARIABLE: str(own)} if (own := folder()) else {}


def package_folder(package: str) -> Path | None:
    """Return the folder of your own whose files stand beside those of `package`."""
    own, part = folder(), FOLDERS.get(package)
    return own / part if own and part and (own / part).is_dir() else None


def recipes() -> Path | None:
    """Return the folder of your own recipes."""
    own = folder()
    return own / "recipes" if own and (own / "recipes").is_dir() else None


def together(ours: Mapping[str, Path], own: Iterator[Path]) -> dict[str, Path]:
    """Return files by their names: ours, and your own.

    Raises:
        UserError: a name is that of two files.
    """
    found = dict(ours)
    for file in own:
        demand_new(found.get(file.stem), file)
        found[file.stem] = file
    return found


def demand_new(ours: Path | None, own: Path) -> None:
    """Raise a UserError if a file of your own has the place of one of `ours`."""
    if ours is not None:
        raise UserError(
            f"{own}: {display_path(ours)} has this name already; call yours something else"
        )
