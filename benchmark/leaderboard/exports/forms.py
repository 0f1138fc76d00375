"""The board for other programs: CSV, JSON, and LaTeX ready for a paper."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Literal

from benchmark.leaderboard.columns import COLUMNS, Column, Value, values
from benchmark.leaderboard.tables import Row, Tables, recipes

DIGITS = 12  # of what is no whole number: machines, and versions of numpy, differ in later ones
LATEX = {
    "\\": r"\textbackslash{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def as_csv(found: Tables) -> str:
    """Return a line per row: its table's parts, then its values, in the columns' own units.

    What is not known is empty.
    """
    text = io.StringIO()
    lines = [_cells(name, row) for name, table in found.items() for row in table]
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_json(found: Tables) -> str:
    """Return the same as JSON: {table: [{column: value}]}, None for what is not known."""
    plain = {name: [printed(row) for row in table] for name, table in found.items()}
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


def as_latex(found: Tables) -> str:
    r"""Return a table in booktabs' style per table of the board; it needs \usepackage{booktabs}."""
    columns = [column for column in COLUMNS if column.default]
    return "\n".join(_tabular(name, table, columns) for name, table in found.items())


def export(found: Tables, form: Literal["csv", "json", "latex"]) -> str:
    """Return tables in one of the forms."""
    return {"csv": as_csv, "json": as_json, "latex": as_latex}[form](found)


def printed(row: Row) -> dict[str, Value]:
    """Return a row's values to DIGITS significant digits; whole numbers keep all of theirs."""

    def cut(value: Value) -> Value:
        whole = not isinstance(value, float) or value.is_integer()
        return value if whole else float(f"{value:.{DIGITS}g}")

    return {name: cut(value) for name, value in values(row).items()}


def _cells(name: str, row: Row) -> dict[str, object]:
    protocol, data, backbone = name.split("/", 2)
    place = {"protocol": protocol, "data": data, "backbone": backbone}
    return place | {key: "" if value is None else value for key, value in printed(row).items()}


def _tabular(name: str, table: Sequence[Row], columns: Sequence[Column]) -> str:
    lines = [
        f"% {' '.join(name.split())}",
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        _line([column.title for column in columns]),
        r"\midrule",
        *(_line([column.text(row) for column in columns]) for row in recipes(table)),
        *([r"\midrule"] if any(row.ablation for row in table) else []),
        *(_line([column.text(row) for column in columns]) for row in table if row.ablation),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex, cells)) + r" \\"


def latex(text: str) -> str:
    """Return text of unknown origin for LaTeX: it stays text, on one line."""
    return "".join(LATEX.get(each, each) for each in " ".join(text.split()))
