"""The board for other programs holds what the page holds, and text from outside stays text."""

import csv
import io
import json
from dataclasses import replace

import pytest
from made_board import METHODS, made, made_board

from benchmark.leaderboard.columns import values
from benchmark.leaderboard.exports.forms import export, latex, printed
from benchmark.leaderboard.statistics.estimates import summarize
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
        assert each == printed(row) and each.keys() == values(row).keys()
        assert line["data"] == "digits_motion" and float(line["top1"]) == each["top1"]
        assert line["peak_device_memory_bytes"] == "" and each["peak_device_memory_bytes"] is None


def test_what_machines_differ_in_is_not_printed_and_whole_numbers_are_whole(found):
    (table,) = found.values()
    row = replace(table[0], top1=summarize([2 / 3 + 1e-15, 2 / 3 - 1e-15]))
    assert row.top1.mean == pytest.approx(2 / 3) and printed(row)["top1"] == 0.666666666667
    (whole,) = tables([made(tunable=123_456_789_012_345)])["digits/digits_motion/vit_digits"]
    assert printed(whole)["trained_parameters"] == 123_456_789_012_345


def test_latex_is_a_table_of_booktabs(found):
    lines = export(found, "latex").splitlines()
    columns = lines[1].removeprefix(r"\begin{tabular}{").removesuffix("}")
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 1 + len(METHODS)
    assert {line.count(" & ") + 1 for line in body} == {len(columns)}
    assert [line for line in lines if line.endswith("rule")] == [
        *(r"\toprule", r"\midrule", r"\bottomrule")
    ]


def test_ablations_are_told_by_the_recipe_they_are_of_and_stand_below_in_latex():
    found = tables([*made_board(), made("aim,width=3", 0, 0.97)])
    lines = csv.DictReader(io.StringIO(export(found, "csv")))
    said = {line["method"]: line["ablation_of"] for line in lines}
    assert said == {**dict.fromkeys(METHODS, ""), "aim,width=3": "aim"}
    body, below = export(found, "latex").split("\\midrule\n")[1:]
    assert body.count(r"\\") == len(METHODS) and below.startswith("aim,width=3 & ")


def test_text_from_outside_stays_text_in_latex():
    assert latex("a_b & 50 % of $x$\n#1 {\\input}") == (
        r"a\_b \& 50 \% of \$x\$ \#1 \{\textbackslash{}input\}"
    )
    said = export(tables([made("a_b&c", table="p/x\n\\input/y")]), "latex")
    assert r"a\_b\&c" in said and [line for line in said.splitlines() if "input" in line] == [
        "% p/x \\input/y"
    ]
