"""Every picture: same tables, same bytes; readable on light and dark; text from outside is text."""

import random
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from made_board import ABLATIONS, METHODS, field, made, made_board

from benchmark.leaderboard import pages, pictures
from benchmark.leaderboard.pictures import theme
from benchmark.leaderboard.tables import tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn():
    return pictures.draw(tables(made_board()))


@pytest.fixture(scope="module")
def crowd():
    """Return what is drawn of the whole field, without its first picture."""
    found = tables(field())
    drawn = ("intervals", "curves", "heat_map", "ablations")
    return {name: pictures.KINDS[name](found) for name in drawn}


def names(svg):
    """Return what a picture says, in its order."""
    return re.findall("<!-- (.*?) -->", svg)


def test_the_board_draws_what_its_page_shows(drawn):
    shown = pages.pictured(tables(made_board()))
    assert set(drawn) == {f"{name}{dark}.svg" for name in shown for dark in ("", "-dark")}
    assert "ablations" not in shown
    assert pages.pictured(tables([made(), made("aim,width=3")])) == list(pages.PICTURES)


def test_every_method_has_its_line_and_ablations_have_a_picture_of_their_own(crowd):
    shown = [row for table in tables(field()).values() for row in table]
    for name in ("intervals", "heat_map"):
        said = names(crowd[name])
        assert {row.method for row in shown if not row.ablation} <= {*said}
        assert not {*ABLATIONS} & {*said}
    said = names(crowd["ablations"])
    assert {each.partition(",")[2] for each in ABLATIONS} <= {*said}
    assert {"st_adapter", "aim"} <= {*said} and "full" not in said


def test_of_many_curves_the_best_of_each_kind_are_named(crowd):
    (table,) = tables(field()).values()
    said = names(crowd["curves"])
    for row in (row for row in table if not row.ablation):
        better = [each for each in table if each.kind == row.kind and not each.ablation]
        assert (row.method in said) == (better.index(row) < pictures.curves.BEST)
    few = names(pictures.curves.draw(tables(made_board())))
    assert METHODS.keys() <= {*few}


def test_the_same_records_give_the_same_bytes_in_any_order(drawn):
    records = made_board()
    random.Random(1).shuffle(records)
    assert pictures.draw(tables(records)) == drawn


def test_a_dark_picture_has_no_light_pages_colour_and_neither_has_a_background(drawn):
    for name, svg in drawn.items():
        used = set(re.findall(r"#[0-9a-f]{6}", svg))
        known = set(theme.DARK.values() if "-dark" in name else theme.DARK)
        assert used <= known | {"#000000"}, name  # paths whose fill is inherited
        assert 'id="patch_1"' not in svg or "opacity: 0" in svg or "fill: none" in svg


def test_a_ceiling_of_order_blind_models_is_drawn():
    ceiling = [
        replace(run, data=replace(run.data, order_blind_ceiling=0.5)) for run in made_board()
    ]
    with_, without = (pictures.scatter.draw(tables(each)) for each in (ceiling, made_board()))
    said = "<!-- blind to order: at most 50 % -->"
    assert said in with_ and said not in without


def test_chance_is_drawn_unless_it_is_far_below_all_methods():
    for top1, drawn in ((0.55, True), (0.99, False)):
        svg = pictures.scatter.draw(tables([made(top1=top1)]))
        assert ("<!-- chance: 50.0 % -->" in svg) == drawn


def test_text_from_outside_stays_text():
    method = "a|b`<script>alert(1)$x$"
    for svg in pictures.draw(tables([made(method, table="p/<img onerror=x>/$y$")])).values():
        assert "<script" not in svg and "<img" not in svg
        ElementTree.fromstring(svg)
