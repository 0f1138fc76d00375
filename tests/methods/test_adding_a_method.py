"""The README's method, added in a copy of the repository by doing what the failing tests say."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import pytest
from forked import OF_PYTEST, Process

from datamodules.files import ROOT

CONTRACT = "tests/methods/test_contract.py"
NEEDED = ("benchmark", "datamodules", "recipes", "tests/fixtures", "tests/conftest.py", CONTRACT)
LISTED = "tests/cli/test_parser.py::test_list_names_every_recipe_and_says_what_it_is"


def examples() -> dict[str, str]:
    """Return what the README has the reader write: path -> text."""
    page = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", page, re.M | re.S)
    return dict(blocks)


def contract(folder: Path) -> str:
    """Run the quick tests of the contract over the new method; return what they say."""
    chosen = ["-k", "attention_tuning or every_recipe", "-m", "not slow", CONTRACT, LISTED]
    command = ["elsewhere", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    environment = {**os.environ, **OF_PYTEST, "PYTHONPATH": str(folder)}
    with contextlib.chdir(folder), Path("said.txt").open("w+") as said:
        Process(*command, env=environment, stdout=said.fileno()).communicate()
        said.seek(0)
        return said.read()


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.slow
def test_what_fails_says_what_to_add_and_with_that_the_method_passes(tmp_path: Path) -> None:
    for each in (*NEEDED, "tests/cli/test_parser.py", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / each, tmp_path / each)
    method, recipe = examples().items()
    assert method[0] == "benchmark/methods/attention_tuning.py"
    assert recipe[0] == "recipes/methods/attention_tuning.yaml"
    wrong = method[1].replace('"sees_time": False', '"sees_time": True')
    assert wrong != method[1]
    write(tmp_path / method[0], wrong)
    write(tmp_path / recipe[0], "method:\n  name: attention_tuning\n")

    said = contract(tmp_path)
    assert len(re.findall("^FAILED", said, re.M)) == 4  # time, parameters, comment x 2
    told = re.search(
        r'attention_tuning measured: .*: say ("sees_time": False) in FACTS of (\S+)', said
    )
    assert told and told[2] == method[0]
    write(tmp_path / told[2], re.sub('"sees_time": True', told[1], wrong))
    added = re.search(
        r"add to (\S+\.yaml), .*:\n((attention_tuning:\n)(  \S+: \d+ \d+\n){4})", said
    )
    assert added
    with (tmp_path / added[1]).open("a") as file:
        file.write(added[2])
    begun = re.search(r"begin (\S+) with a comment such as:\n((?:# .*\n)+)", said)
    assert begun and begun[1] == recipe[0]
    number = re.search(r"[\d,]+ parameters", begun[2])
    assert number and number[0] in recipe[1]  # the README has it right
    write(tmp_path / recipe[0], recipe[1])

    said = contract(tmp_path)
    assert re.search(r"\d+ passed", said) and "failed" not in said, said
