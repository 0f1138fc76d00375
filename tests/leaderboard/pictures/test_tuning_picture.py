"""The picture of tuning: same trials, same bytes; every method on it, also those that diverged."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from benchmark.leaderboard.pictures import theme, tuning
from benchmark.results.schema import SplitChecksum
from benchmark.results.tuning import Evidence, Trial, choose

TABLES = ("fair/digits_motion/vit_digits", "fair/$y$<b>/vit_digits")
METHODS = ("aim", "st_adapter", "$x$")


def evidence(name, scores):
    trials = tuple(
        Trial(settings={"optim.lr": 10.0**i}, seed=0, top1=top1) for i, top1 in enumerate(scores)
    )
    return Evidence(
        name=name,
        recipe={},
        space={"optim.lr": {"low": 1, "high": 100}},
        widened={},
        clips=300,
        epochs=1,
        holdout=SplitChecksum(videos=8, sha256="f" * 64),
        trials=trials,
        chosen=choose(trials),
        edges=(),
    )


@pytest.fixture(scope="module")
def found():
    return {
        table: [evidence(f"{table}/{method}", (0.25, 0.5, None)) for method in METHODS]
        for table in TABLES
    }


@pytest.mark.slow
def test_a_picture_is_a_function_of_its_trials_and_names_every_method(found):
    svg = tuning.draw(found)
    assert svg == tuning.draw(found)
    for said in (*METHODS, "optim.lr", "digits_motion"):
        assert said in svg
    ElementTree.fromstring(svg)
    used = set(re.findall(r"#[0-9a-f]{6}", theme.dark(svg)))
    assert used <= {*theme.DARK.values(), "#000000"}


def test_what_is_no_range_of_rates_can_be_drawn(found):
    (aim, *_) = found[TABLES[0]]
    words = tuple(
        Trial(settings={"method.kind": kind}, seed=0, top1=top1)
        for kind, top1 in (("b", 0.5), ("a", 0.25))
    )
    chosen = {"method.kind": "b"}
    kinds = replace(aim, space={"method.kind": ["b", "a"]}, trials=words, chosen=chosen)
    svg = tuning.draw({TABLES[0]: [kinds]})
    assert "method.kind" in svg
