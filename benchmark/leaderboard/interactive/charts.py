"""The interactive page's charts, as Vega-Lite: axes to choose, curves, where the time goes."""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from benchmark.leaderboard.columns import COLUMNS, Column, values
from benchmark.leaderboard.tables import Row, Tables

HEIGHT = 340  # pixels; the width is the page's
FEW = 14  # points that all have names; of more those on the front, and a hand over the others tells
# What the methods are, and their colours, which stand out on light and on dark pages.
KINDS = {
    "video method": "#2f8fd0",
    "control": "#e0702c",
    "baseline": "#8b949e",
    "other": "#9a6fd8",
}


def charts(found: Tables) -> dict[str, dict[str, Any]]:
    """Return the charts' specifications by title; each lets its reader choose a table."""
    return {
        "Accuracy against cost": _scatter(found).to_dict(),
        "Training": _curves(found).to_dict(),
        "Where the time goes": _breakdown(found).to_dict(),
    }


def _scatter(found: Tables) -> alt.LayerChart | alt.FacetChart:
    """Every row as a point between two columns of the reader's choice, with the front of the best.

    A point is on the front if no other is at least as good by the one column and better by the
    other: read from the cheapest on, it is better than all before it. Ablations wait to be asked
    for.
    """
    points = [_plain(name, row) for name, row in _rows(found)]
    costs = [each for each in COLUMNS if each.direction == "lower" and _known(each, points)]
    gains = [each for each in COLUMNS if each.direction == "higher" and _known(each, points)]
    table, (x, y) = _choose_table(found), (_choose("x", costs), _choose("y", gains))
    tips = [alt.Tooltip("method:N"), *(alt.Tooltip(f"{c.name}:Q", title=c.title) for c in COLUMNS
            if c.unit and _known(c, points))]  # fmt: skip
    chosen = (
        alt.Chart(alt.InlineData(points))
        .transform_filter("datum.table === table")
        .transform_calculate(
            cost="datum[x]",
            gain="datum[y]",
            low="y === 'top1' ? datum.low : null",
            high="y === 'top1' ? datum.high : null",
        )
        .transform_filter("isValid(datum.cost) && datum.cost > 0 && isValid(datum.gain)")
        .transform_filter("ablations || !datum.ablation")
    )
    across = alt.X(
        "cost:Q",
        scale=alt.Scale(type="log", nice=False, padding=24),
        axis=alt.Axis(format="~s", labelOverlap=True, title=None),
    )
    up = alt.Y("gain:Q", scale=alt.Scale(zero=False, padding=16), title=None)
    look = alt.Scale(domain=list(KINDS), range=list(KINDS.values()))
    color = alt.Color("kind:N", scale=look, legend=alt.Legend(orient="top", title=None))
    cheapest_first: list[alt.SortField | dict[str, str]] = [
        alt.SortField("cost", order="ascending"),
        alt.SortField("gain", order="descending"),
    ]
    ordered = chosen.transform_window(
        best="max(gain)", frame=[None, 0], sort=cheapest_first
    ).transform_window(before="lag(best)", sort=cheapest_first)
    best = "!isValid(datum.before) || datum.gain > datum.before"
    front = (
        ordered.transform_filter(best)
        .mark_line(interpolate="step-after", strokeDash=[4, 3], opacity=0.6, color="#8b949e")
        .encode(x=across, y=up)
    )
    bars = chosen.mark_rule().encode(x=across, y=alt.Y("low:Q"), y2="high:Q", color=color)
    dots = chosen.mark_point(filled=True, size=90, opacity=1).encode(
        x=across, y=up, color=color, tooltip=tips
    )
    names = (
        ordered.transform_joinaggregate(points="count()")
        .transform_filter(f"datum.points <= {FEW} || {best}")
        .mark_text(align="left", dx=8, dy=-6)
        .encode(x=across, y=up, text="method:N", color=color)
    )
    ablations = alt.param(
        name="ablations", value=False, bind=alt.binding_checkbox(name="ablations ")
    )
    layers = alt.layer(front, bars, dots, names).add_params(table, x, y, ablations)
    return layers.properties(width="container", height=HEIGHT)


def _curves(found: Tables) -> alt.Chart:
    """Training accuracy or loss by epoch, a line per seed; a click on a method dims the others."""
    points = [
        {
            "table": name,
            "method": row.method,
            "seed": str(run.recipe.get("seed", "")),
            "epoch": each.epoch + 1,
            "top-1 of training clips": each.top1,
            "loss": each.loss,
            "top-1 of held-out clips": each.val_top1,
        }
        for name, row in _rows(found)
        for run in row.records
        for each in run.train.curve
    ]
    shown = alt.param(
        name="shown",
        value="top-1 of training clips",
        bind=alt.binding_select(
            options=["top-1 of training clips", "top-1 of held-out clips", "loss"], name="curve "
        ),
    )
    names = alt.Legend(orient="bottom", columns=2, symbolLimit=0)  # 0: none is left out
    picked = alt.selection_point(fields=["method"], bind="legend")
    return (
        alt.Chart(alt.InlineData(points))
        .transform_filter("datum.table === table")
        .transform_calculate(value="datum[shown]")
        .transform_filter("isValid(datum.value)")
        .mark_line(point=alt.OverlayMarkDef(size=12))
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("method:N", legend=names),
            detail="seed:N",
            opacity=alt.condition(picked, alt.value(0.9), alt.value(0.08)),
            tooltip=["method:N", "seed:N", "epoch:Q", alt.Tooltip("value:Q", format=".4")],
        )
        .add_params(_choose_table(found), shown, picked)
        .properties(width="container", height=HEIGHT)
    )


def _breakdown(found: Tables) -> alt.Chart:
    """Seconds of a run: training, waiting for clips, testing; the mean over seeds."""
    bars = []
    for name, row in _rows(found):
        seconds = row.mean(lambda run: run.cost.train_seconds)
        waited = seconds * (row.mean(lambda run: run.cost.data_wait) or 0.0)
        parts = {
            "training": seconds - waited,
            "waiting for clips": waited,
            "testing": row.mean(lambda run: run.cost.test_seconds),
        }
        bars += [
            {"table": name, "method": row.method, "part": part, "seconds": value}
            for part, value in parts.items()
        ]
    return (
        alt.Chart(alt.InlineData(bars))
        .transform_filter("datum.table === table")
        .mark_bar()
        .encode(
            x=alt.X("seconds:Q", title="seconds of a run"),
            y=alt.Y("method:N", title=None, sort="-x"),
            color=alt.Color("part:N", legend=alt.Legend(orient="bottom"), title=None),
            tooltip=["method:N", "part:N", alt.Tooltip("seconds:Q", format=".1f")],
        )
        .add_params(_choose_table(found))
        .properties(width="container", height=alt.Step(18))
    )


def _rows(found: Tables) -> Iterable[tuple[str, Row]]:
    return ((name, row) for name, table in found.items() for row in table)


def _plain(name: str, row: Row) -> dict[str, Any]:
    """Return a row's numbers, fractions in percent, and the ends of its interval."""
    percent = {each.name for each in COLUMNS if each.unit == "fraction"}
    numbers = {
        key: 100 * value if key in percent and isinstance(value, float) else value
        for key, value in values(row).items()
    }
    low, high = (100 * each for each in row.interval) if row.interval else (None, None)
    own = {"kind": str(row.kind or "other"), "ablation": row.ablation}
    return numbers | own | {"table": name, "low": low, "high": high}


def _known(column: Column, points: Sequence[dict[str, Any]]) -> bool:
    return any(isinstance(point[column.name], int | float) for point in points)


def _choose_table(found: Tables) -> alt.Parameter:
    labels = [name.partition("/")[2].replace("/", " · ") for name in found]
    options = alt.binding_select(options=list(found), labels=labels, name="data ")
    return alt.param(name="table", value=next(iter(found)), bind=options)


def _choose(axis: str, columns: Sequence[Column]) -> alt.Parameter:
    options = [each.name for each in columns]
    labels = [each.title for each in columns]
    bind = alt.binding_select(options=options, labels=labels, name=f"{axis} ")
    return alt.param(name=axis, value=options[0], bind=bind)
