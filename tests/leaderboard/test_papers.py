"""Our runs beside their papers: the same configuration only, and inside our interval or not."""

import pytest
from made_record import made_record

from benchmark.leaderboard import pages
from benchmark.leaderboard.papers import beside_papers, compare
from benchmark.leaderboard.tables import tables
from benchmark.results import published

TABLE = "paper/kinetics400/vit_b16_clip"
FRAMES = {"clip": {"frames": 8}}


@pytest.fixture(scope="module")
def printed():
    return published.read()


def board(top1=(0.83, 0.85), method="aim", table=TABLE, views=3, recipe=FRAMES):
    """Return the row of a method with a run per accuracy."""
    runs = [
        made_record(
            f"{table}/{method}/seed{seed}", recipe, metrics={"top1": each}, cost={"views": views}
        )
        for seed, each in enumerate(top1)
    ]
    (rows,) = tables(runs).values()
    return rows[0]


@pytest.mark.slow
def test_a_row_stands_beside_what_its_authors_print(printed):
    found = compare(board(), printed.rows)
    assert (found.paper, found.inside, found.printed.source) == (83.9, None, "aim_readme")
    assert found.ours == pytest.approx(84.0) and found.difference == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("interval", "inside"),
    [((0.83, 0.85), True), ((0.839, 0.85), True), ((0.84, 0.85), False), ((0.8, 0.83), False)],
)
def test_the_paper_is_inside_our_interval_or_not(interval, inside, printed):
    assert compare(board(), printed.rows, interval).inside is inside


@pytest.mark.parametrize(
    "row",
    [
        board(table="quick/kinetics400/vit_b16_clip"),
        board(table="paper/ssv2/vit_b16_clip", method="aim_four"),  # whose accuracy is not printed
        board(views=1),
        board(method="linear_probe"),
        board(recipe={"clip": {"frames": 4}}),
        board(method="aim,width=8"),
    ],
)
def test_a_row_of_another_configuration_stands_beside_nothing(row, printed):
    assert compare(row, printed.rows) is None and beside_papers([row], printed) == ""


def test_runs_of_two_configurations_are_beside_nothing(printed):
    runs = [
        made_record(f"{TABLE}/aim/seed{frames}", {"clip": {"frames": frames}}, cost={"views": 3})
        for frames in (8, 16)
    ]
    (rows,) = tables(runs).values()
    assert compare(rows[0], printed.rows) is None


def test_the_table_says_paper_ours_difference_and_whether_it_is_inside(printed):
    text = beside_papers([board()], printed, {"aim": (0.8, 0.83)})
    assert (
        "| `aim` | 83.9 | 84.0 | +0.1 | **no** | "
        "[AIM README](https://github.com/taoyang1122/adapt-image-models), line 90 |"
    ) in text
    assert "| `aim` | 83.9 | 84.0 | +0.1 | - |" in beside_papers([board()], printed)


@pytest.mark.slow
def test_the_board_shows_it_under_the_table_it_is_about():
    text = pages.board("paper", board().records)
    assert text.index("kinetics400") < text.index("| `aim` | 83.9 | 84.0 | +0.1 |")
    plain = pages.board("quick", board(table="quick/kinetics400/vit_b16_clip").records)
    assert "as the authors print it" in text and "as the authors print it" not in plain


def test_a_board_without_such_runs_does_not_read_the_papers(monkeypatch):
    monkeypatch.setattr(published, "read", None)
    assert beside_papers([board(table="digits/kinetics400/vit_b16_clip")]) == ""
