"""The board for other programs holds what the page holds, and text from outside stays text."""

import csv
import io
import json

import pytest
from made_board import METHODS, made, made_board

from benchmark.leaderboard.columns import values
from benchmark.leaderboard.exports import export, latex
from benchmark.leaderboard.tables import tables


@pytest.fixture(scope="module")
def found():
    return tables(made_board())


def test_csv_and_json_hold_every_value_of_every_row(found):
    lines = list(csv.DictReader(io.StringIO(export(found, "csv"))))
    ((name, plain),) = json.loads(export(found, "json")).items()
    (table,) = found.values()
    assert name == "digits/digits_motion/vit_digits" and len(lines) == len(plain) == len(METHODS)
    for line, each, row in zip(lines, plain, table, strict=True):
        assert each == values(row)
        assert line["data"] == "digits_motion" and float(line["top1"]) == each["top1"]
        assert line["peak_device_memory_bytes"] == "" and each["peak_device_memory_bytes"] is None


def test_latex_is_a_table_of_booktabs(found):
    lines = export(found, "latex").splitlines()
    columns = lines[1].removeprefix(r"\begin{tabular}{").removesuffix("}")
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 1 + len(METHODS)
    assert {line.count(" & ") + 1 for line in body} == {len(columns)}
    assert [line for line in lines if line.endswith("rule")] == [
        *(r"\toprule", r"\midrule", r"\bottomrule")
    ]


def test_text_from_outside_stays_text_in_latex():
    assert latex("a_b & 50 % of $x$\n#1 {\\input}") == (
        r"a\_b \& 50 \% of \$x\$ \#1 \{\textbackslash{}input\}"
    )
    said = export(tables([made("a_b&c", table="p/x\n\\input/y")]), "latex")
    assert r"a\_b\&c" in said and [line for line in said.splitlines() if "input" in line] == [
        "% p/x \\input/y"
    ]
