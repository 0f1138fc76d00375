"""The dashboard: the board of a sweep in wandb, as one run, and a workspace of the sweep's runs."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import wandb

from benchmark.errors import UserError
from benchmark.leaderboard import columns
from benchmark.leaderboard.tables import Row, Tables, tables
from benchmark.recipes.name import RunName
from benchmark.results import record
from benchmark.results.record import Record
from benchmark.tracking import wandb_session
from datamodules import files
from datamodules.files import display_path

JOB = "board"  # its job type, among those of methods
COSTS = {  # what accuracy is drawn against, and what that is called
    "trained_parameters": "tunable parameters",
    "training_macs": "training MACs per clip",
    "peak_device_memory_bytes": "peak device memory in bytes",
    "peak_memory_bytes": "peak memory in bytes",
}
CURVES = {"loss": "training loss", "top1": "training top-1", "val_top1": "validation top-1"}
WORKSPACES = "wandb-workspaces is not installed, so no workspace: pip install wandb-workspaces"


def dashboard(name: str, records: Sequence[Record], *, runs: int, project: str) -> None:
    """Log the board of a sweep, and where there is a server, save a workspace of its runs.

    Made again, it takes the place of what was there.

    Args:
        name: of the sweep.
        records: of it, those that there are.
        runs: how many there will be.
        project: wandb's word for all of this.

    Raises:
        UserError: wandb did not take them.
    """
    try:
        run = wandb_session.opened(
            f"{JOB}/{name}",
            files.RUNS / JOB / name,
            project=project,
            group=name,
            job_type=JOB,
            tags=(JOB,),
            config={"sweep": name, "runs": runs, "records": [each.name for each in records]},
        )
        found = tables(records)
        drawn = pictures({table.partition("/")[0] for table in found})
        run.log(board(found) | drawn)
        if run.disabled:
            print("wandb is disabled: nothing was logged")
            return
        online, entity = not run.offline, run.entity
        place = run.url if online else display_path(Path(run.settings.sync_dir))
        wandb_session.closed(run)
    except Exception as error:  # of wandb or of the network, whose kinds are many
        raise UserError(f"wandb: {str(error).strip().partition(chr(10))[0]}") from error
    print(f"{len(records)} of {runs} runs of {name}: see {place}")
    if not online:
        print("wandb is offline: make wandb-sync uploads it; a workspace needs a login")
        return
    try:
        save_workspace(name, entity, project)
    except ImportError:
        print(WORKSPACES)
    except Exception as error:
        print(f"warning: no workspace: {str(error).partition(chr(10))[0]}", file=sys.stderr)


def board(found: Tables) -> dict[str, Any]:
    """Return a table of all rows, one of all runs, and per table of the board its charts."""
    charts: dict[str, Any] = {
        "board/rows": _table([_row(name, row) for name in found for row in found[name]]),
        "board/runs": _table(
            [_run(each) for name in found for row in found[name] for each in row.records]
        ),
    }
    for name, rows in found.items():
        section = "-".join(name.split("/")[-2:])  # data-backbone: a sweep has one protocol
        for key, title in COSTS.items():
            if points := list(_points(rows, key)):
                charts[f"{section}/top1_by_{key}"] = wandb.plot.scatter(
                    _table(points), title, "top-1 %", title=f"top-1 % against {title}"
                )
        for key, title in CURVES.items():
            if lines := dict(_curves(rows, key)):
                charts[f"{section}/curve_{key}"] = wandb.plot.line_series(
                    xs=[list(range(1, len(ys) + 1)) for ys in lines.values()],
                    ys=list(lines.values()),
                    keys=list(lines),
                    title=f"{title}, mean over seeds",
                    xname="epoch",
                )
    return charts


def pictures(protocols: Iterable[str]) -> dict[str, Any]:
    """Return the pictures of protocols' boards, those for light pages."""
    drawn = [file for each in protocols for file in (record.RESULTS / each).glob("*.svg")]
    return {
        f"board/{file.parent.name}/{file.stem}": wandb.Html(file.read_text("utf-8"), False)
        for file in sorted(drawn)
        if not file.stem.endswith("-dark")
    }


def save_workspace(name: str, entity: str, project: str) -> None:
    """Save `workspace` to the server.

    Raises:
        ImportError: wandb-workspaces is not installed.
        Exception: whatever it raises when the server refuses.
    """
    saved = workspace(name, entity, project).save()
    print(f"workspace: {saved.url}")


def workspace(name: str, entity: str, project: str) -> Any:
    """Return the panels of a sweep's runs, grouped by method, the spread of seeds around a mean.

    Raises:
        ImportError: wandb-workspaces is not installed.
    """
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as workspaces
    from wandb_workspaces import expr

    def curve(metric: str) -> Any:
        return panels.LinePlot(
            title=metric,
            x="step",
            y=[metric],
            groupby="JobType",
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_runs_to_show=100,
        )

    top1 = panels.SummaryMetric("metrics/top1")
    costs = {panels.SummaryMetric(f"cost/{key}"): title for key, title in COSTS.items()}
    against = [
        panels.ScatterPlot(title=f"top-1 against {title}", x=metric, y=top1, log_x=True)
        for metric, title in costs.items()
    ]
    axes = [(metric, title, True) for metric, title in costs.items()] + [(top1, "top-1", False)]
    column = panels.ParallelCoordinatesPlotColumn
    parallel = panels.ParallelCoordinatesPlot(
        columns=[column(metric, display_name=title, log=log) for metric, title, log in axes]
    )
    shown = {
        "accuracy against cost": [*against, parallel],
        "curves": [curve(each) for each in ("train/loss", "train/top1", "val/top1")],
        "training": [
            curve(each) for each in ("lr/group0", "speed/clips_per_second", "speed/data_wait")
        ],
    }
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            workspaces.Section(name=title, panels=each, is_open=True)
            for title, each in shown.items()
        ],
        settings=workspaces.WorkspaceSettings(max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            filters=[expr.Metric("Group") == name, expr.Metric("JobType") != JOB],
            groupby=[expr.Metric("JobType")],
        ),
    )


def _row(name: str, row: Row) -> dict[str, Any]:
    """Return a row of the board: where it stands, its columns, and the mean of every cost."""
    place = zip(("protocol", "data", "backbone"), name.rsplit("/", 2), strict=True)
    return dict(place) | columns.values(row)


def _points(rows: Sequence[Row], key: str) -> Iterator[dict[str, Any]]:
    """Yield where the methods stand whose runs all know a cost."""
    for row in rows:
        if (cost := columns.values(row)[key]) is not None:
            yield {"method": row.method, COSTS[key]: cost, "top-1 %": 100 * row.top1.mean}


def _run(each: Record) -> dict[str, Any]:
    """Return all numbers of a record."""
    run = RunName.parse(each.name)
    named = {"protocol": run.protocol, "data": run.dataset, "backbone": run.backbone}
    numbers = asdict(each.metrics) | asdict(each.cost)
    return {**named, "method": run.row, "seed": run.seed, **numbers}


def _curves(rows: Sequence[Row], key: str) -> Iterator[tuple[str, list[float]]]:
    """Yield the mean curve of each method whose runs all have one."""
    for row in rows:
        curves = [[getattr(epoch, key) for epoch in run.train.curve] for run in row.records]
        if all(curves) and all(value is not None for curve in curves for value in curve):
            yield row.method, [fmean(values) for values in zip(*curves, strict=False)]


def _table(rows: Sequence[dict[str, Any]]) -> wandb.Table:
    """Return rows as a table; what one of them lacks is empty."""
    columns: list[str | int] = list(dict.fromkeys(key for row in rows for key in row))
    data = [[row.get(str(column)) for column in columns] for row in rows]
    return wandb.Table(columns=columns, data=data, allow_mixed_types=True)
