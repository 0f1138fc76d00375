"""The scatter plot shows every method's name, where it covers nothing."""

from dataclasses import replace

import pytest
from made_board import METHODS, made_board

from benchmark.leaderboard.pictures import scatter, theme
from benchmark.leaderboard.tables import tables


def boxes(figure):
    """Return, per panel, what its methods' names cover, and where its points are, in pixels."""
    for panel in figure.axes:
        names = [text for text in panel.texts if text.get_text() in METHODS]
        places = [text.get_window_extent() for text in names]
        yield panel, dict(zip([text.get_text() for text in names], places, strict=True))


@pytest.mark.parametrize("squeeze", [1.0, 0.2])  # the latter: all methods within 20 points
def test_labels_cover_neither_each_other_nor_the_points(squeeze):
    records = [
        replace(run, metrics=replace(run.metrics, top1=0.5 + squeeze * (run.metrics.top1 - 0.5)))
        for run in made_board()
    ]
    with theme.drawing(*scatter.PANEL) as (figure, _):
        scatter.fill(figure, tables(records), 1, 1)
    ((panel, labels),) = boxes(figure)
    assert labels.keys() == METHODS.keys()
    inside = panel.get_window_extent()
    (table,) = tables(records).values()
    for row in table:
        trained = row.mean(lambda run: run.cost.trained_parameters)
        x, y = panel.transData.transform((trained, 100 * row.top1.mean))
        assert inside.contains(x, y)
        assert not [name for name, box in labels.items() if box.contains(x, y)]
    for name, box in labels.items():
        assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
        assert not [other for other in labels if other != name and labels[other].overlaps(box)]
