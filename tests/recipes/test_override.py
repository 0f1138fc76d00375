"""What is typed as KEY=VALUE is what was typed, whatever YAML reads into it."""

import math
from dataclasses import asdict
from urllib.parse import unquote

import pytest
import yaml

from benchmark.errors import UserError
from benchmark.recipes import compose, dataset
from benchmark.recipes.override import parse, read, written

RUN = "quick/folder/vit_digits/aim"

TEXTS = (
    *("A #2", "#2", "yes", "No", "on", "off", "y", "010", "0o17", "0x1F", "0b1", "1:30", "1_000"),
    *("12:30:45", "2024-01-01", "a: b", "- a", "a, b", "*a", "&a b", "!x", "%a", "@a", "|", ">"),
    *("?", "1e", "e5", "1.2.3", "--1", "é.pt", " a ", "it's", 'a "b"', "-", "=", "~/x", "info"),
)
VALUES = {
    "null": None,
    "~": None,
    "": None,
    "true": True,
    "False": False,
    "0": 0,
    "10": 10,
    "-3": -3,
    "+3": 3,
    "1e-3": 1e-3,
    "1E5": 1e5,
    ".5": 0.5,
    "2.": 2.0,
    "-1.5": -1.5,
    "1e+30": 1e30,
    "inf": math.inf,
    "-.inf": -math.inf,
    "[1, 2.5, a, true, null, yes, 010, '3']": [1, 2.5, "a", True, None, "yes", "010", "3"],
    "[[1],[]]": [[1], []],
    "{-1: 0, 1: 2}": {-1: 0, 1: 2},
    "'2024'": "2024",
    '"A #2"': "A #2",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_that_text(text):
    assert read(text) == text
    assert parse(f"data.root={text}") == ("data.root", text)


@pytest.mark.parametrize("text", VALUES)
def test_what_is_no_text_is_what_it_looks_like(text):
    found = read(text)
    assert found == VALUES[text] and type(found) is type(VALUES[text])


def test_not_a_number_is_one():
    assert math.isnan(read("nan")) and math.isnan(read(".nan"))


@pytest.mark.parametrize("text", [*TEXTS, *(each for each in VALUES if "{" not in each)])
def test_a_value_in_a_name_is_read_as_it_was(text):
    for value in (text, VALUES.get(text), [text], [VALUES.get(text), text, 1]):
        assert read(unquote(written(value))) == value
        assert "/" not in written(value)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["2024", "1e3", "true", "[a] b", "[a]", "{a}", "{path}.mp4", "'"])
def test_what_a_key_takes_decides_between_a_text_and_what_looks_like_another_value(text):
    chosen = compose.load(RUN, [f"data.root={text}", f"slurm.account={text}"])
    assert chosen.data["root"] == text and chosen.slurm.account == text
    assert compose.load(RUN, ["data.root=null", "slurm.account=null"]).data["root"] is None
    assert compose.restored(asdict(chosen)).data["root"] == text


def test_a_dataset_without_a_run_takes_them_likewise(tmp_path):
    for name in ("A #2", "2024"):
        for video in ("train/x/a.mp4", "test/x/a.mp4"):
            (tmp_path / name / video).parent.mkdir(parents=True)
            (tmp_path / name / video).touch()
        root = dataset.load("folder", [f"data.root={tmp_path}/{name}"]).splits["train"].root
        assert root == f"{tmp_path}/{name}"


@pytest.mark.slow
def test_a_number_is_never_octal_or_of_another_base():
    for typed, value in {"010": 10, "10": 10}.items():
        assert compose.load(RUN, [f"train.batch={typed}"]).train.batch == value
    for typed in ("0x10", "0o10", "1:30", "yes"):
        with pytest.raises(UserError, match=f"train.batch is '{typed}', not int"):
            compose.load(RUN, [f"train.batch={typed}"])
        with pytest.raises(UserError, match=f"method.scale is '{typed}', not float"):
            compose.load(RUN, [f"method.scale={typed}"])


@pytest.mark.parametrize("text", ["[1", "'a", "{a", '"'])
def test_what_begins_as_a_list_or_a_quote_and_is_none_is_told(text):
    with pytest.raises(yaml.YAMLError):
        read(text)
    with pytest.raises(UserError, match=r"override .optim\.lr="):
        parse(f"optim.lr={text}")
