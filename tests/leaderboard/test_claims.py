"""What methods claim of themselves is what the committed board of the digits has found.

Every clip of digits_motion's test split is there with its frame-reversed twin, of another class.
Whoever is blind to the order of frames answers both alike, and is right at most once in two.
"""

import pytest

from benchmark.leaderboard.tables import Row, recipes, tables
from benchmark.results import record
from datamodules.files import ROOT

CEILING = 0.5
# Methods that see time and are not surely above it at the end of so short a training:
# benchmark/methods/video_methods.md says why, and what was tried.
BELOW = {"dist", "dist_four", "tokshift", "tokshift_frozen", "vita_clip"}


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    with pytest.MonkeyPatch.context() as here:
        here.setattr(record, "RESULTS", ROOT / "results")
        found = tables(record.records(record.RESULTS / "fair" / "digits_motion"))
    return {row.method: row for row in recipes(found["fair/digits_motion/vit_digits"])}


@pytest.mark.slow
def test_no_method_that_is_blind_to_order_is_right_more_than_every_second_time(
    rows: dict[str, Row],
) -> None:
    blind = [row for row in rows.values() if not row.kind.sees_time]
    assert len(blind) >= 24
    for row in blind:
        assert all(run.data.order_blind_ceiling == CEILING for run in row.records)
        assert max(run.metrics.top1 for run in row.records) <= CEILING, row.method


def test_every_method_that_claims_to_see_time_is_surely_above_that_but_those_named(
    rows: dict[str, Row],
) -> None:
    seeing = {row.method: row.interval[0] for row in rows.values() if row.kind.sees_time}
    assert len(seeing) >= 20
    assert {method for method, low in seeing.items() if low <= CEILING} == BELOW


def test_every_row_has_all_seeds_of_one_recipe_and_was_tuned_alike(rows: dict[str, Row]) -> None:
    for row in rows.values():
        assert len(row.records) == 5, row.method
        recipes_of_seeds = [{**run.recipe, "seed": 0, "name": ""} for run in row.records]
        assert all(each == recipes_of_seeds[0] for each in recipes_of_seeds), row.method
    tuned = [run.recipe["tuned"] for row in rows.values() for run in row.records]
    alike = {(each["trials"], each["seeds"], each["epochs"], each["clips"]) for each in tuned}
    assert len(alike) == 1
