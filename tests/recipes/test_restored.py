"""A recipe that a record or a checkpoint holds is the recipe, and is checked like any other."""

import json
from dataclasses import asdict

import pytest

from benchmark.errors import UserError
from benchmark.recipes import compose
from benchmark.recipes.compose import load
from datamodules.files import ROOT

RUN = "quick/digits_motion/vit_digits/st_adapter"


def stored(**changed):
    """Return a recipe as a record holds it, with some dotted keys changed; None takes one out."""
    plain = json.loads(json.dumps(asdict(load(RUN))))
    for key, value in changed.items():
        *sections, last = key.split("__")
        section = plain
        for each in sections:
            section = section[each]
        section.pop(last, None)
        if value is not None:
            section[last] = value
    return plain


@pytest.mark.slow
def test_a_stored_recipe_is_the_recipe():
    assert compose.restored(stored()) == load(RUN)
    changed = compose.restored(stored(), ["train.epochs=7", "workers=1"])
    assert (changed.train.epochs, changed.workers, changed.name) == (7, 1, load(RUN).name)


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted((ROOT / "results/fair").rglob("seed0.json")), ids=str)
def test_the_recipes_of_all_committed_rows_are_recipes_still(file):
    old = json.loads(file.read_text())["recipe"]
    recipe = compose.restored(old)
    assert recipe.name == old["name"]
    assert compose.changes(old, asdict(recipe)) == {}
    base = compose.read("base")
    assert recipe.test.broken == base["test"]["broken"] == "stop"  # which came later


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train__epochs": -5}, "the stored recipe: train.epochs is -5, not at least 1"),
        ({"method__widht": 3}, "the stored recipe: unknown key 'method.widht'; did you mean"),
        ({"method__width": "x"}, "the stored recipe: method.width is 'x', not int"),
        ({"method__name": "gone"}, "the stored recipe: method.name: no 'gone' in"),
        ({"data__gone": 3}, "the stored recipe: unknown key 'data.gone'"),
        ({"clip__gone": 3}, "the stored recipe: unknown key 'clip.gone'"),
        ({"clip__sampling": "gone"}, "the stored recipe: no clip.sampling 'gone'"),
        ({"seed": 2**32}, "the stored recipe: seed is 4294967296, not between 0 and 4294967295"),
        ({"train__epochs": None}, "train.epochs is set by none of recipes/base.yaml, the stored"),
    ],
)
def test_a_stored_recipe_is_checked_like_any_other(changed, said):
    with pytest.raises(UserError) as caught:
        compose.restored(stored(**changed))
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_an_override_of_a_stored_recipe_is_named_as_one():
    with pytest.raises(UserError, match=r"^command line: train\.epochs is 0, not at least 1"):
        compose.restored(stored(), ["train.epochs=0"])
