"""The board of a sweep in wandb, read back from its files, and the workspace beside it."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import wandb
import wandb_offline
from made_record import made_record
from test_wandb_callback import log_in, nobody_logged_in, server  # noqa: F401
from wandb_server import Server

from benchmark.cli.parser import main, parse
from benchmark.errors import UserError
from benchmark.leaderboard.columns import COLUMNS
from benchmark.results import record
from benchmark.results.record import Record
from benchmark.results.schema import Cost, Epoch
from benchmark.sweeps import plan as plans
from benchmark.sweeps.plan import plan
from benchmark.tracking import wandb_dashboard
from datamodules import files

pytestmark = pytest.mark.slow

METHODS = ["full", "aim"]
SEEDS = [0, 1]


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Record]]:
    """Give the sweep "quick" two methods, two seeds and their records."""
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    grid = {"protocol": "quick", "data": ["digits_motion"], "backbone": ["vit_digits"]}
    rows = {"method": METHODS, "seed": SEEDS, "overrides": [], "grid": {}}
    monkeypatch.setattr(plans, "_read", lambda name: grid | rows)
    made = [made_up(job.recipe, i) for i, job in enumerate(plan("quick"))]
    for each in made:
        each.write()
    (tmp_path / "results" / "quick" / "accuracy.svg").write_text("<svg></svg>")
    yield made
    wandb.teardown()


def made_up(recipe: Any, number: int) -> Record:
    """Return a record of a run; the numbers of the first four are 0, 1, 2, 3 in their units."""
    curve = [Epoch(epoch=e, loss=number + e, top1=number / 8) for e in range(3)]
    return made_record(
        recipe.name,
        recipe,
        metrics={"top1": number / 10},
        cost={
            "trained_parameters": 1000 + number,
            "training_macs": 2000 + number,
            "macs_per_view": 3 * 10**9,
            "views": 2,
            "train_seconds": 60.0,
            "peak_memory_bytes": 4000 + number,
            "peak_device_memory_bytes": None,
        },
        train={"curve": tuple(curve)},
    )


def show() -> None:
    """Make the dashboard of "quick", as the command line does, but for its catching of errors."""
    args = parse(["dashboard", "quick"])
    args.action(args)


def logged(folder: Path) -> tuple[wandb_offline.Shown, dict[str, dict[str, Any]]]:
    """Return what the one run in `folder` says, and the tables it logged, by key."""
    wandb.teardown()  # as at the end of the process
    (file,) = wandb_offline.files(folder)
    shown = wandb_offline.read(file)
    (row,) = shown.history
    paths = {key.removesuffix(".path"): path for key, path in row.items() if key.endswith(".path")}
    files = {key: file.parent / "files" / path for key, path in paths.items()}
    assert files.pop("board/quick/accuracy").read_text() == "<svg></svg>"
    return shown, {key: json.loads(file.read_text()) for key, file in files.items()}


def test_the_board_is_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "quick"]) == 0
    assert "make wandb-sync uploads it" in capsys.readouterr().out
    shown, _ = logged(tmp_path)
    assert (shown.id, shown.group, shown.job_type) == ("board-quick", "quick", "board")
    assert sorted(shown.config["records"]) == [each.name for each in record.records()]


def test_its_table_has_the_rows_of_the_leaderboard_as_numbers(
    tmp_path: Path, records: list[Record]
) -> None:
    show()
    _, found = logged(tmp_path)
    columns = found["board/rows"]["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in found["board/rows"]["data"]]
    assert [row["method"] for row in rows] == ["aim", "full"]  # the best first
    assert rows[0]["data"] == "digits_motion" and rows[0]["seeds"] == 2
    assert rows[0]["top1"] == pytest.approx(0.25)  # of 0.2 and 0.3
    assert rows[0]["top1_sd"] == pytest.approx(0.005**0.5)
    assert rows[0]["macs"] == 6 * 10**9  # 3 of a view, 2 views
    assert rows[0]["trained_parameters"] == 1002.5
    assert set(rows[0]) >= {column.name for column in COLUMNS}
    assert rows[0]["device_hours"] is None and rows[0]["hardware"] == "a laptop"
    assert set(rows[0]) >= {field.name for field in fields(Cost)}  # a record's own keys
    runs = found["board/runs"]
    assert len(runs["data"]) == len(records)
    assert {"seed", "top1", "training_macs", "train_seconds"} <= set(runs["columns"])


def test_its_charts_hold_accuracy_against_cost_and_the_mean_curves(tmp_path: Path) -> None:
    show()
    _, found = logged(tmp_path)
    section = "digits_motion-vit_digits"
    for key, first in {"trained_parameters": 1000, "training_macs": 2000}.items():
        chart = found[f"{section}/top1_by_{key}_table"]
        assert chart["columns"] == ["method", wandb_dashboard.COSTS[key], "top-1 %"]
        assert chart["data"][0] == ["aim", first + 2.5, pytest.approx(25)]
    assert f"{section}/top1_by_peak_memory_bytes_table" in found
    assert f"{section}/top1_by_peak_device_memory_bytes_table" not in found  # nobody has it
    curve = found[f"{section}/curve_loss_table"]["data"]
    assert [row[1:] for row in curve if row[1] == "aim"] == [["aim", y] for y in (2.5, 3.5, 4.5)]
    assert f"{section}/curve_val_top1_table" not in found


def test_made_again_it_takes_its_own_place(tmp_path: Path) -> None:
    show()
    wandb.teardown()
    show()
    logged(tmp_path)  # one run


def test_without_records_it_says_so(tmp_path: Path, records: list[Record]) -> None:
    for each in records:
        record.path(each.name).unlink()
    with pytest.raises(UserError, match="'quick' has no records yet: make sweep SWEEP=quick"):
        show()


def test_trouble_with_wandb_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise wandb.Error("out of order\nand more")

    monkeypatch.setattr(wandb, "init", broken)
    with pytest.raises(UserError, match=r"^wandb: out of order$"):
        show()


def panels(spec: str) -> dict[str, list[dict[str, Any]]]:
    """Return the panels of a saved workspace by section."""
    bank = json.loads(spec)["section"]["panelBankConfig"]
    return {each["name"]: each["panels"] for each in bank["sections"] if each["panels"]}


# wandb-workspaces 0.4 is written for an older pydantic
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_where_a_server_is_there_a_workspace_is_saved(
    server: Server,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("wandb_workspaces")
    show()
    assert "board-quick" in server.runs
    (view,) = server.views
    assert (view["displayName"], view["projectName"]) == ("quick", "image-to-video")
    (runs,) = json.loads(view["spec"])["section"]["runSets"]
    assert runs["grouping"] == [{"section": "run", "name": "jobType"}]
    asked = {
        (each["key"]["name"], each["op"], each["value"]) for each in runs["filters"]["filters"]
    }
    assert asked == {("group", "=", "quick"), ("jobType", "!=", "board")}
    sections = panels(view["spec"])
    for curve in sections["curves"]:
        config = curve["config"]
        assert (config["groupBy"], config["groupAgg"]) == ("jobType", "mean")
        assert config["groupArea"] == "stddev"  # seeds as spread
    drawn = [each["config"]["xAxis"] for each in sections["accuracy against cost"][:-1]]
    assert drawn == [f"summary:cost/{key}" for key in wandb_dashboard.COSTS]
    assert "workspace: http" in capsys.readouterr().out


def test_without_the_extra_it_says_how_to_get_it(
    server: Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb_workspaces", None)
    show()
    assert capsys.readouterr().out.endswith(f"{wandb_dashboard.WORKSPACES}\n")
    assert not server.views
