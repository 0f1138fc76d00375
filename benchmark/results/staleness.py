"""Records that are no longer what their name means: of another recipe or other data, or broken."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.errors import UserError
from benchmark.recipes import compose, dataset
from benchmark.recipes.dataset import Lister
from benchmark.recipes.schema import CALLED, FREE_WHERE, Recipe
from benchmark.results import record
from benchmark.results.record import BrokenRecord, Record
from datamodules.files import display_path
from datamodules.identity import DataIdentity, difference
from datamodules.progress_bar import format_duration

FEW = 3  # changed keys told in a line


@dataclass(frozen=True)
class Standing:
    """What the record of a run is worth today.

    Attributes:
        state: "done"; "stale", of another recipe; of "other data" than the name stands for today;
            or "broken".
        detail: In one line: what came out, or what is wrong.
    """

    state: Literal["done", "stale", "other data", "broken"]
    detail: str


def standing(today: Recipe, lister: Lister | None = None) -> Standing | None:
    """Return what the record of a run is worth today, None where there is none.

    Args:
        today: The run's recipe.
        lister: What tells which data a recipe is of, where several runs share it.
    """
    file = record.path(today.name)
    if not file.exists():
        return None
    try:
        found = record.read(file)
    except BrokenRecord as error:
        return Standing("broken", str(error))
    except UserError as error:  # of a newer version, say: leave it alone
        return Standing("done", f"but {error}")
    unsure = ""
    try:
        if changed := data_change(found, today, lister or dataset.lister()):
            return Standing("other data", changed)
    except UserError as error:
        unsure = f"; its data cannot be compared with today's: {error}"
    if differing := changes(found, today):
        more = f" and {len(differing) - FEW} more" if len(differing) > FEW else ""
        return Standing("stale", f"{'; '.join(differing[:FEW])}{more}")
    took = format_duration(found.cost.train_seconds)
    top1 = f"top-1 {100 * found.metrics.top1:.1f} %"
    return Standing("done", f"{top1}, {took} of training{unsure}")


def nothing_to_do(today: Recipe) -> str | None:
    """Return what is to be told of a run that needs nothing, None of one that is to be run.

    A record that is broken is told on stderr.

    Raises:
        UserError: its record is of another recipe or of other data.
    """
    found, file = standing(today), display_path(record.path(today.name))
    match found:
        case Standing("stale"):
            raise UserError(f"{file} is of another recipe: {found.detail}; --again replaces it")
        case Standing("other data"):
            raise UserError(f"{file} is of other data: {found.detail}; {to_do()}")
        case Standing("done"):
            return f"nothing to do: {file} exists (--again replaces it): {found.detail}"
        case Standing("broken"):
            print(f"{found.detail}: it is made again", file=sys.stderr)
    return None


def to_do() -> str:
    """Return what somebody can do whose data is not that of a run's record or checkpoint."""
    return f"{CALLED}=NAME gives this data a name of its own, --again starts the run afresh"


def changes(found: Record, today: Recipe) -> list[str]:
    """Return what differs of a record's recipe and today's: "key: old -> new", own files."""
    differing = compose.changes(found.recipe, compose.stored(today))
    found_changes = [f"{key}: {old} -> {new}" for key, (old, new) in differing.items()]
    then, now = found.environment.external or {}, compose.own_code(today)
    return found_changes + [
        f"{file}: another one"
        for file in sorted(then.keys() | now.keys())
        if then.get(file) != now.get(file)
    ]


def data_change(found: Record, today: Recipe, lister: Lister) -> str | None:
    """Return what of the data changed since a record was made, None where nothing did.

    Raises:
        UserError: the data is neither where the recipe says nor, where that says nothing, where the
            record's was.
    """
    listed = _listed(found, today, lister)
    return None if listed is None else difference(found.data.identity, listed)


def _listed(found: Record, today: Recipe, lister: Lister) -> DataIdentity | None:
    try:
        return lister(today.data)
    except UserError:
        where = {key.removeprefix("data.") for key in FREE_WHERE}
        then = {key: value for key, value in found.recipe["data"].items() if key in where}
        if not then or today.data.get("root"):
            raise
        return lister({**today.data, **then})


def stale(under: Path | None = None) -> list[tuple[str, list[str]]]:
    """Return the records that are no longer what their name means.

    Args:
        under: A folder of records. None: all of RESULTS.

    Returns:
        Per such record its name, of a broken one its file, and what changed or is wrong.
    """
    return sorted(_stale(under or record.RESULTS))


def _stale(under: Path) -> Iterator[tuple[str, list[str]]]:
    lister, load = dataset.lister(), compose.once_per_row()
    for file in record.files(under):
        try:
            found = record.read_in_place(file)
        except UserError as error:
            yield display_path(file), [str(error).removeprefix(f"{file}: ")]
            continue
        try:
            today = load(found.name)
        except UserError as error:
            yield found.name, [f"cannot tell, its name is not understood any more: {error}"]
            continue
        changed = changes(found, today)
        with suppress(UserError):  # the data is not here: nothing is known against it
            if other := data_change(found, today, lister):
                changed.append(f"data: {other}")
        if changed:
            yield found.name, changed
