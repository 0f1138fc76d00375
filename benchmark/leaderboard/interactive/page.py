"""The interactive page: one file that opens from disk, with all it needs within it."""

from base64 import b64encode
from dataclasses import replace
from importlib.resources import files
from typing import Any

import itables
import vl_convert
from jinja2 import Environment, StrictUndefined

from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.interactive.charts import charts
from benchmark.leaderboard.tables import Row, Tables
from benchmark.recipes.name import RunName

TEMPLATE = "page.html.jinja"
PLACE = ("data", "backbone")  # the first columns; the method's, which opens, comes next
TABLE = {  # of DataTables, https://datatables.net/reference/option/
    "paging": False,
    "order": [],  # as the board has it, the best first
    "layout": {
        "topStart": {
            "buttons": [
                {"extend": "colvis", "text": "columns"},
                {"extend": "searchBuilder", "text": "filter"},
                "copy",
                "csv",
            ]
        },
        "topEnd": "search",
        "bottomStart": "info",
        "bottomEnd": None,
    },
}


def interactive(found: Tables, title: str, note: str) -> str:
    """Return the page of a protocol's tables, as HTML.

    Args:
        found: The protocol's tables, at least one.
        title: Of the page.
        note: What a reader should know first.
    """
    assets = files(itables) / "html"
    template = (files(__package__) / TEMPLATE).read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    vega = vl_convert.javascript_bundle()  # type: ignore[call-arg] # its types forget a default
    drawn = charts(found)
    ids = [f"chart{i}" for i in range(len(drawn))]
    hidden = [len(PLACE) + i for i, each in enumerate(COLUMNS) if not each.default]
    return environment.from_string(template).render(
        title=title,
        note=note,
        heads=[*((each, "") for each in PLACE), *((each.title, each.unit) for each in COLUMNS)],
        rows=[_row(name, row) for name, table in found.items() for row in table],
        headings=list(zip(ids, drawn, strict=True)),
        charts=dict(zip(ids, drawn.values(), strict=True)),
        chart_script=vega.replace("</script", r"<\/script"),
        table=TABLE | {"columnDefs": [{"targets": hidden, "visible": False}]},
        table_script=b64encode((assets / "dt_bundle.js").read_bytes()).decode(),
        table_style=(assets / "dt_bundle.css").read_text("utf-8"),
    )


def _row(name: str, row: Row) -> dict[str, Any]:
    """Return what the page says of a row: its cells, its command, its runs."""
    protocol, *place = name.split("/", len(PLACE))
    first = RunName.parse(row.records[0].name)
    return {
        "place": place,
        # What a cell is sorted by: the value, of which the text shows some digits.
        "cells": [(column.text(row), _order(column.value(row))) for column in COLUMNS],
        "command": f"benchmark run {replace(first, seed=None)} seed={first.seed}",
        "runs": [
            {
                "name": run.name.rpartition("/")[2],
                "link": f"{run.name.removeprefix(f'{protocol}/')}.json",
                "text": f"{100 * run.metrics.top1:.2f} %, {run.environment.commit[:10]}",
            }
            for run in row.records
        ],
    }


def _order(value: float | str | None) -> float | str:
    return -1 if value is None else value
