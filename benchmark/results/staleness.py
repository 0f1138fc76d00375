"""Records whose recipe has changed since: what they say is no longer what their name means."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmark.errors import UserError
from benchmark.recipes import compose
from benchmark.recipes.schema import Recipe
from benchmark.results import record
from benchmark.results.record import Record


def changes(found: Record, today: Recipe) -> list[str]:
    """Return what a record's recipe sets otherwise than today's: "key: old -> new"."""
    plain = json.loads(json.dumps(asdict(today)))  # as a record has it: lists, and keys of text
    differing = compose.changes(found.recipe, plain)
    return [f"{key}: {old} -> {new}" for key, (old, new) in differing.items()]


def stale(under: Path | None = None) -> list[tuple[str, list[str]]]:
    """Return the records whose recipe is no longer what their name means.

    Args:
        under: A folder of records. None: all of RESULTS.

    Returns:
        Per such record its name and what changed, or why its name means nothing any more.
    """
    return list(_stale(record.records(under or record.RESULTS)))


def _stale(found: Iterable[Record]) -> Iterable[tuple[str, list[str]]]:
    for each in found:
        try:
            changed = changes(each, compose.load(each.name))
        except UserError as error:
            changed = [f"cannot tell, its name is not understood any more: {error}"]
        if changed:
            yield each.name, changed
