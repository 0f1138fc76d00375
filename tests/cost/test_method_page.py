"""The list of methods: what is kept of its costs is what is counted, and the page is written."""

import re

import pytest
from tiny import demand

from benchmark.cli.parser import main
from benchmark.cost import method_page
from benchmark.recipes import compose
from benchmark.recipes.method_list import BASELINES, GROUPS, listed, sentence

REMEDY = "write it: benchmark list methods --count"


@pytest.mark.slow
def test_costs_are_what_is_counted(name: str) -> None:
    demand(name)
    assert compose.read("counted").get(name) == method_page.cost(name), REMEDY


def test_costs_are_kept_of_every_recipe_and_nothing_else() -> None:
    assert list(compose.read("counted")) == compose.names("methods"), REMEDY


def test_the_page_is_written_and_not_by_hand() -> None:
    text = method_page.PAGE.read_text()
    assert text == method_page.page(text, listed()), REMEDY


def test_every_recipe_of_a_method_names_its_paper_and_stands_in_one_group() -> None:
    for each in listed():
        plain = each.name in BASELINES
        assert plain or (each.paper and each.url), f"say authors, year, URL in {each.name}.yaml"
        assert sum(belongs(each) for belongs in GROUPS.values()) == 1


def test_what_a_recipe_is_stands_without_its_paper() -> None:
    said = "It (Name, Ax et al., 2022), https://a.b/c, twice: so (yes). And more (Bo, 2021)."
    assert sentence(said) == "It, twice: so (yes)"


def test_the_list_shows_claims_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "methods"]) == 0
    lines = {
        re.split(r"  +", line.strip())[0]: line for line in capsys.readouterr().out.split("\n")
    }
    assert re.split(r"  +", lines["st_adapter"].strip()) == [
        *("st_adapter", "Pan et al., 2022", "yes", "-", "yes", "yes", "7,417,744", "151.6"),
    ]
    assert lines["linear_probe"].split() == [*"linear_probe - - - yes - 307,600 140.5".split()]
    assert set(lines) >= set(compose.names("methods"))
