"""Texts stand where they cover nothing, as near to their points as can be, or nowhere."""

import numpy as np
import pytest

from benchmark.leaderboard.pictures.line_ends import spread
from benchmark.leaderboard.pictures.placement import Scene, Text, cross, crosses, overlap, place

NONE = np.empty((0, 4))
ROOM = np.array([0.0, 0, 400, 300])


def scene(points, inside=ROOM, lines=NONE):
    boxes = np.array([(x - 4, y - 4, x + 4, y + 4) for x, y in points])
    return Scene(inside, boxes, lines, NONE, 1.0)


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    low = generator.uniform(0, 10, (40, 2))
    boxes = np.concatenate([low, low + generator.uniform(0.5, 4, (40, 2))], axis=1)
    return boxes, generator.uniform(0, 12, (40, 4))


@pytest.mark.slow
def test_geometry_is_what_many_points_of_a_line_say(drawn):
    boxes, lines = drawn
    share = np.linspace(0, 1, 4001)[:, None]
    touched = crosses(lines, boxes)
    for line, own in zip(lines, touched, strict=True):
        on_it = line[:2] + share * (line[2:] - line[:2])
        within = (on_it[:, None] >= boxes[:, :2]).all(-1) & (on_it[:, None] <= boxes[:, 2:]).all(-1)
        assert (own == within.any(0)).mean() > 0.97 and (own | ~within.any(0)).all()
    shared = overlap(boxes, boxes)
    assert shared.diagonal().all() and (shared == shared.T).all()
    both = cross(lines, lines)
    assert (both == both.T).all() and not both.diagonal().any() and both.any()
    assert cross(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 2, 2, 0], [3, 0, 3, 9]])).tolist() == [
        [True, False]
    ]


def test_a_text_alone_stands_right_beside_its_point():
    (found,) = place(scene([(200, 150)]), [Text((200, 150), (60, 10))])
    assert found.line is None and found.box[0] > 204 and found.box[1] < 150 < found.box[3]


def test_texts_of_one_heap_cover_neither_each_other_nor_points_and_lead_back_to_theirs():
    points = [(200 + 6 * i, 150 + (7 * i) % 10) for i in range(8)]
    wall = np.array([[0.0, 165, 400, 165]])
    found = place(scene(points, lines=wall), [Text(each, (50, 9)) for each in points])
    assert None not in found
    boxes = np.array([each.box for each in found])
    lines = np.array([each.line for each in found if each.line is not None])
    assert not np.triu(overlap(boxes, boxes), 1).any()
    assert not overlap(boxes, scene(points).boxes).any() and not crosses(wall, boxes).any()
    assert not cross(lines, lines).any() and {tuple(line[:2]) for line in lines} <= {*points}


def test_what_has_no_room_stands_nowhere():
    small = np.array([190.0, 140, 240, 160])
    texts = [Text((200, 150), (60, 10)), Text((200, 150), (20, 6))]
    assert [each is None for each in place(scene([(200, 150)], small), texts)] == [True, False]


def test_names_at_the_ends_of_lines_are_spread_no_more_than_needed():
    assert spread([10, 50, 90], 9, 0, 100) == [10, 50, 90]
    assert spread([50, 50, 50], 10, 0, 100) == [40, 50, 60]
    assert spread([1, 2, 90], 10, 0, 100) == [0, 10, 90]
    assert spread([85, 99, 99], 10, 0, 100) == [80, 90, 100]
    for most in (100, 140):
        heights = sorted(np.random.default_rng(1).uniform(most - 60, most, 11))
        places = spread(heights, 9, 0, most)
        assert places[0] >= 0 and places[-1] <= most + 1e-9
        assert np.diff(places).min() >= 9 - 1e-9
