"""The scatter plot names methods where that covers nothing, few all, of many those that matter."""

from dataclasses import replace

import numpy as np
import pytest
from made_board import ABLATIONS, METHODS, TABLE, field, made_board

from benchmark.leaderboard.pictures import scatter, theme
from benchmark.leaderboard.pictures.placement import crosses, overlap
from benchmark.leaderboard.statistics.fronts import pareto_front
from benchmark.leaderboard.tables import recipes, tables

PANELS = {"motion": TABLE, "identity": "digits/digits_identity/vit_digits"}


def texts(panel):
    """Return a panel's names and numbers by what they say, and the boxes of all texts in pixels."""
    found = {text.get_text(): text for text in panel.texts if " " not in text.get_text()}
    boxes = np.array([text.get_window_extent().extents for text in panel.texts])
    return found, boxes


def points(panel, table):
    """Return where a table's methods are, and their front's corners, in pixels."""
    at = [(row.mean(lambda run: run.cost.trained_parameters), 100 * row.top1.mean) for row in table]
    on_it = pareto_front(*zip(*at, strict=True), ("lower", "higher"))
    corners = []
    for x, y in sorted(each for each, on in zip(at, on_it, strict=True) if on):
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    moved = panel.transData.transform
    front = {row.method for row, on in zip(table, on_it, strict=True) if on}
    return np.array([moved(each) for each in at]), np.array([moved(c) for c in corners]), front


@pytest.fixture(scope="module")
def crowd():
    """Return the panels and the tables of a board of the whole field."""
    found = tables([run for table in PANELS.values() for run in field(table)])
    with theme.drawing(scatter.WIDE[0], 2 * scatter.WIDE[1]) as (figure, _):
        scatter.fill(figure, found, 2, 1)
        yield list(zip(figure.axes, found.values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("squeeze", [1.0, 0.2])  # the latter: all methods within 20 points
def test_few_methods_are_all_named(squeeze):
    records = [
        replace(run, metrics=replace(run.metrics, top1=0.5 + squeeze * (run.metrics.top1 - 0.5)))
        for run in made_board()
    ]
    found = tables(records)
    with theme.drawing(*scatter.PANEL) as (figure, _):
        scatter.fill(figure, found, 1, 1)
        (panel,) = figure.axes
        assert texts(panel)[0].keys() == METHODS.keys()
        hold(panel, *found.values())


@pytest.mark.slow
def test_of_the_whole_field_no_text_covers_anything(crowd):
    for panel, table in crowd:
        assert len(recipes(table)) >= 40
        hold(panel, recipes(table))


def hold(panel, table):
    """Assert that no text covers another, a point or the front, and all are within the panel."""
    _, boxes = texts(panel)
    at, corners, _ = points(panel, table)
    reach = 2.5 * panel.figure.dpi / 72  # of the smallest markers
    assert not np.triu(overlap(boxes, boxes), 1).any()
    assert not overlap(boxes, np.concatenate([at - reach, at + reach], axis=1)).any()
    assert not crosses(np.concatenate([corners[:-1], corners[1:]], axis=1), boxes).any()
    inside = panel.get_window_extent()
    for left, bottom, right, top in boxes:
        assert inside.contains(left, bottom) and inside.contains(right, top)


@pytest.mark.slow
def test_of_many_methods_the_front_and_baselines_are_named_and_the_rest_has_its_number(crowd):
    for panel, table in crowd:
        shown = recipes(table)
        said, (_, _, front) = texts(panel)[0], points(panel, shown)
        assert front | {row.method for row in shown if row.kind.baseline} <= said.keys()
        numbers = {name for name in said if name.isdigit()}
        key = [text.get_text().split() for text in panel.texts if "  " in text.get_text()]
        assert dict(key) == {number: shown[int(number) - 1].method for number in numbers}
        assert len(said) == len(shown)  # each is named or numbered, once


def test_ablations_are_not_among_the_methods(crowd):
    for panel, _ in crowd:
        said = {text.get_text().split()[-1] for text in panel.texts}
        assert not said & set(ABLATIONS) and "st_adapter" in said


def test_what_a_point_looks_like_says_whether_its_method_sees_time(crowd):
    panel, table = crowd[0]
    filled = {
        tuple(line.get_xydata()[0]): line.get_markerfacecolor() != theme.PAPER
        for line in panel.lines
        if line.get_marker() in ("o", "D")
    }
    for row in recipes(table):
        at = row.mean(lambda run: run.cost.trained_parameters), 100 * row.top1.mean
        assert filled[at] == row.kind.sees_time
