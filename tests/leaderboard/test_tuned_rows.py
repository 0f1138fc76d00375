"""The board says what a row was tuned on, and marks what was not tuned or lies at an edge."""

import pytest
from made_board import made

from benchmark.leaderboard import pages
from benchmark.leaderboard.cautions import cautions, marks
from benchmark.leaderboard.columns import COLUMNS, MISSING
from benchmark.leaderboard.tables import tables

TUNED = {"trials": 6, "seeds": 1, "clips": 14400, "videos": 208, "top1": 0.5, "edges": []}


def row(**recipe):
    run = made("aim")
    run.recipe.clear()
    run.recipe.update({"seed": 0, **recipe})
    (rows,) = tables([run]).values()
    return rows[0]


@pytest.mark.parametrize(
    ("recipe", "mark", "said"),
    [
        ({}, "", ""),
        ({"tuned": {}, "untuned": False}, "", ""),
        ({"tuned": TUNED, "untuned": False}, "", ""),
        ({"tuned": TUNED | {"edges": ["optim.lr"]}}, "↕", "↕ Tuned to the lowest or highest"),
        ({"tuned": {}, "untuned": True}, "○", "○ Not tuned"),
    ],
)
def test_a_row_is_marked_for_what_its_tuning_lacks(recipe, mark, said):
    found = row(**recipe)
    assert marks(found) == mark and "".join(cautions([found])).startswith(said)


def test_a_column_says_what_a_row_was_tuned_on():
    (column,) = (each for each in COLUMNS if each.name == "tuned")
    assert column.text(row(tuned=TUNED)) == "6 trials, 14,400 clips, on 208 held-out videos"
    seeds = row(tuned=TUNED | {"seeds": 2})
    assert column.text(seeds).startswith("6 trials x 2 seeds, ")
    assert column.text(row(untuned=True)) == "untuned" and column.text(row()) == MISSING


def test_the_page_of_a_tuned_protocol_leads_to_its_trials():
    tuned, plain = row(tuned=TUNED).records, row().records
    assert "(tuning/README.md)" in pages.board("fair", tuned)
    assert "(tuning/README.md)" not in pages.board("fair", plain)
