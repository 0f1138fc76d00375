"""The board is a function of the records, and says what a reader must know to believe it."""

import math
import os
import random
import statistics
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import matplotlib
import pytest
from made_record import made_record

from benchmark.leaderboard import pages, plots
from benchmark.leaderboard.columns import COLUMNS, MISSING, chosen, values
from benchmark.leaderboard.pages import PAGE, PICTURE, escape, plain, render
from benchmark.leaderboard.statistics import summarize
from benchmark.leaderboard.tables import order_blind_ceiling, tables
from benchmark.results import record
from benchmark.results.schema import SplitChecksum
from datamodules import files

METHODS = {  # top-1 and tunable parameters, as the prototype had them on digits
    "st_adapter": (0.99, 47_000),
    "full_divided": (0.9, 660_000),
    "aim": (0.79, 60_000),
    "zeroi2v": (0.64, 83_000),
    "full": (0.31, 470_000),
    "partial": (0.27, 112_000),
    "prompt_tuning": (0.24, 4_700),
    "linear_probe": (0.19, 776),
}


def made(
    method="aim", seed=0, top1=0.5, tunable=1000, table="digits/digits_motion/vit_digits", **more
):
    return made_record(
        f"{table}/{method}/seed{seed}",
        {"seed": seed, "optim": {"lr": more.pop("lr", 0.1)}},
        metrics={"top1": top1, "split": more.pop("split", "test")},
        cost={"trained_parameters": tunable, **more.pop("cost", {})},
        **more,
    )


@pytest.fixture
def drawn():
    """Ask for real pictures."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """Leave out the pictures where nobody looks at them: they take longer than all the rest."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(plots, "draw", lambda found: "<svg/>")


@pytest.fixture
def board():
    chance = random.Random(0)
    return [
        made(method, seed, min(1.0, top1 + chance.gauss(0, 0.01)), tunable)
        for method, (top1, tunable) in METHODS.items()
        for seed in range(3)
    ]


def rows(page):
    """Return the cells of a page's tables, without headers."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_same_records_give_the_same_bytes_in_any_order(board, drawn):
    first = render(board)
    assert set(first) == {PAGE, PICTURE}
    random.Random(1).shuffle(board)
    again = render(board)
    assert again == first and "<svg" in again[PICTURE]


def test_a_row_holds_what_its_seeds_say_together(board):
    found = {row[0].strip("`"): row for row in rows(render(board)[PAGE])}
    assert found.keys() == METHODS.keys()
    for method, (_, tunable) in METHODS.items():
        values = [100 * run.metrics.top1 for run in board if f"/{method}/" in run.name]
        _, top1, seeds, parameters, flops, time = found[method]
        mean, spread = statistics.mean(values), statistics.stdev(values)
        assert top1 == f"{mean:.1f} ± {spread:.1f}" and seeds == "3"
        assert parameters == f"{tunable / 1e3:.1f} k"
        assert flops == "0.0600 × 3" and time == "40 s"


def test_the_best_comes_first_and_of_equals_the_one_that_trains_less():
    page = render(
        [made("a", top1=0.5, tunable=9), made("b", top1=0.5, tunable=3), made("c", top1=0.7)]
    )
    assert [row[0] for row in rows(page[PAGE])] == ["`c`", "`b`", "`a`"]


def test_one_seed_has_no_spread_and_ranks_nothing(board):
    assert "±" not in "".join(map(str, rows(render([made()])[PAGE])))
    assert "One seed ranks nothing" in render([made()])[PAGE]
    assert "One seed ranks nothing" not in render(board)[PAGE]


def test_protocol_data_and_backbone_have_tables_of_their_own():
    names = [
        "digits/digits_motion/vit_digits",
        "digits/digits_identity/vit_digits",
        "fair/ssv2/vit_b16_clip",
    ]
    page = render([made(table=name) for name in names])[PAGE]
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(headings) == 3 and len(rows(page)) == 3
    assert r"## fair · ssv2 · vit\_b16\_clip" in headings


def test_big_numbers_are_written_as_papers_do():
    cost = {"macs_per_view": 151_800_000_000, "train_seconds": 4000}
    (row,) = rows(render([made(tunable=7_202_000, cost=cost)])[PAGE])
    assert row[3:] == ["7.20 M", "151.8 × 3", "1:06 h"]


def test_what_is_merged_says_so():
    (row,) = rows(render([made(cost={"merged": True})])[PAGE])
    assert row[4] == "0.0600 × 3 merged"


def test_a_ceiling_for_order_blind_models_is_explained_and_drawn(board, drawn):
    ceiling = [replace(run, data=replace(run.data, order_blind_ceiling=0.5)) for run in board]
    with_, without = render(ceiling), render(board)
    assert "**50 %**" in with_[PAGE] and "reversed" in with_[PAGE]
    assert "reversed" not in without[PAGE]
    assert "stroke-dasharray" in with_[PICTURE] and "stroke-dasharray" not in without[PICTURE]
    assert order_blind_ceiling(tables(ceiling)["digits/digits_motion/vit_digits"]) == 0.5


@pytest.mark.parametrize(
    ("other", "note"),
    [
        ({"environment": {"dirty": True}}, "† The code had changes"),
        ({"lr": 0.2}, "‡ The recipe changed between the seeds"),
        (
            {"environment": {"commit": "d" * 40}},
            "come from 2 states of the code: `cccccccccc` (1 run)",
        ),
        (
            {"data": {"splits": {"test": SplitChecksum(videos=4, sha256="y")}}},
            "tested on 2 lists of videos",
        ),
        ({"environment": {"device": "a cluster"}}, "Trained on a cluster; a laptop."),
    ],
)
def test_what_makes_records_differ_is_noted(other, note):
    assert note in render([made(seed=0), made(seed=1, **other)])[PAGE]
    assert note not in render([made(seed=0), made(seed=1)])[PAGE]


def test_marks_stand_at_the_row_they_are_about():
    page = render(
        [made("a", environment={"dirty": True}), made("b"), made("c"), made("c", 1, lr=1)]
    )[PAGE]
    assert sorted(row[0] for row in rows(page)) == ["`a`†", "`b`", "`c`‡"]


def test_code_that_nobody_knows_is_dirty():
    page = render([made(environment={"commit": "unknown", "dirty": True})])[PAGE]
    assert "†" in page and "unknown" not in page
    page = render([made(environment={"commit": "unknown", "dirty": True}), made(seed=1)])[PAGE]
    assert "`unknown` (1 run)" in page


def test_tuning_runs_are_left_out_and_counted():
    page = render([made("a"), made("b", split="holdout")])[PAGE]
    assert len(rows(page)) == 1 and "Left out: 1 run scored on held-out" in page


def test_no_records_give_a_page_that_says_what_to_do():
    files = render([])
    assert set(files) == {PAGE} and "make sweep" in files[PAGE]


def test_names_and_devices_from_outside_stay_text(drawn):
    method = "a|b`<script>alert(1)$x$"
    device = "<img src=x> | *bold* [link](http://x)\n# heading"
    page, drawing = render([made(method, environment={"device": device})]).values()
    (row,) = rows(page)
    assert len(row) == 6 and row[0].startswith("`a\\|b'") and row[0].endswith("`")
    assert "<img" not in page and "\n# heading" not in page and r"\[link\](" in page
    assert r"\*bold\*" in page
    assert "<script" not in drawing
    ElementTree.fromstring(drawing)


def test_escaped_text_holds_nothing_that_markdown_reads():
    assert escape("a_b") == r"a\_b"
    assert escape("<b>&") == "&lt;b&gt;&amp;"
    assert escape("1\n2\t3") == "1 2 3"


def test_every_column_is_once_and_says_of_a_row_what_records_say(board):
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    assert len({column.title for column in COLUMNS}) == len(COLUMNS)
    (table,) = tables(board).values()
    for row in table:
        found = values(row)
        for key in ("trained_parameters", "total_parameters", "train_seconds", "views"):
            assert found[key] == statistics.mean(getattr(run.cost, key) for run in row.records)
        assert found["top1"] == row.top1.mean and found["top1_sd"] == row.top1.sd
        assert found["macs"] == found["macs_per_view"] * found["views"]
    directions = {column.name: column.direction for column in COLUMNS if column.unit}
    assert directions.pop("seeds") is None
    higher = {name for name, direction in directions.items() if direction == "higher"}
    assert higher == {"top1", "top5", "mean_class", *(n for n in directions if "per_second" in n)}
    assert set(directions.values()) == {"higher", "lower"}


def cells(*records):
    """Return every column of the one row of records, by name, as a reader sees it."""
    ((row,),) = tables(records).values()
    return {column.name: column.text(row) for column in COLUMNS}


def test_every_column_of_a_row_reads_well():
    cost = {
        "trained_parameters": 7_202_000,
        "head_parameters": 2_000,
        "checkpoint_bytes": 28_808_000,
        "macs_per_view": 151_800_000_000,
        "training_macs": 9_000_000_000,
        "saved_for_backward_bytes": 2_500_000,
        "peak_device_memory_bytes": 14_300_000_000,
        "clips_per_second": 60.0,
        "data_wait": 0.25,
        "inference_clips_per_second": 333.3,
        "device_seconds": 4500.0,
    }
    found = cells(made(cost=cost, environment={"world_size": 8, "dirty": True}))
    assert found["trained_without_head"] == "7.20 M" and found["checkpoint_bytes"] == "28.8 MB"
    assert found["macs_per_view"] == "151.8 × 3" and found["macs"] == "455.4"
    assert found["training_macs"] == "9.00" and found["training_memory"] == "14.3 GB"
    assert found["training_clips_per_second"] == "80"  # 60 in all, a quarter of it waiting
    assert found["inference_clips_per_second"] == "333" and found["device_hours"] == "1.25"
    assert found["data_wait"] == "25.0" and found["mean_class"] == "50.0"
    assert found["protocol"] == "digits" and found["hardware"] == "8 × a laptop"
    assert found["commit"] == "cccccccccc dirty"
    del cost["peak_device_memory_bytes"]
    assert cells(made(cost=cost))["training_memory"] == "2.50 MB"  # of a CPU


def test_what_older_records_lack_is_shown_as_missing():
    found = cells(made(), made(seed=1, cost={"device_seconds": 3600.0, "training_macs": 1}))
    missing = {name for name, text in found.items() if text == MISSING}
    assert missing == {
        *("top5", "training_macs", "training_memory", "training_clips_per_second"),
        *("inference_clips_per_second", "device_hours", "data_wait"),
    }


def test_the_default_view_is_accuracy_parameters_and_cost_and_the_rest_one_flag_away(board):
    default = ["method", "top1", "seeds", "trained_parameters", "macs_per_view", "train_seconds"]
    assert [column.name for column in chosen()] == default
    assert chosen(every=True) == COLUMNS
    heads = [plain(board, every=every).splitlines()[1] for every in (False, True)]
    for head, columns in zip(heads, (chosen(), COLUMNS), strict=True):
        assert head.split() == " ".join(column.title for column in columns).split()


def test_costs_that_one_run_does_not_know_are_left_open():
    knows, lacks = made(cost={"training_macs": 5}), made(seed=1)
    (row,) = tables([knows])["digits/digits_motion/vit_digits"]
    assert values(row)["training_macs"] == 5
    (row,) = tables([knows, lacks])["digits/digits_motion/vit_digits"]
    assert values(row)["training_macs"] is None and values(row)["views"] == 3


def test_a_terminal_gets_aligned_columns(board):
    lines = plain(board).splitlines()
    assert lines[0] == "digits/digits_motion/vit_digits" and len(lines) == 2 + len(METHODS)
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[2].startswith("st_adapter ")


def test_the_sample_standard_deviation_is_over_n_minus_1():
    assert summarize([0.0, 2.0]).sd == pytest.approx(math.sqrt(2))
    assert summarize([3.0]).sd is None and summarize([3.0]).mean == 3.0
    for bad in ([], [float("nan")]):
        with pytest.raises(ValueError, match="nothing to summarize"):
            summarize(bad)


def boxes(figure):
    """Return, per panel, what its methods' names cover, and where its points are, in pixels."""
    for panel in figure.axes:
        names = [text for text in panel.texts if text.get_text() in METHODS]
        places = [text.get_window_extent() for text in names]
        yield panel, dict(zip([text.get_text() for text in names], places, strict=True))


@pytest.mark.parametrize("squeeze", [1.0, 0.2])  # the latter: all methods within 20 points
def test_labels_cover_neither_each_other_nor_the_points(board, squeeze):
    records = [
        replace(run, metrics=replace(run.metrics, top1=0.5 + squeeze * (run.metrics.top1 - 0.5)))
        for run in board
    ]
    with matplotlib.rc_context(plots.STYLE):
        figure = plots._figure(tables(records))
    ((panel, labels),) = boxes(figure)
    assert labels.keys() == METHODS.keys()
    inside = panel.get_window_extent()
    (table,) = tables(records).values()
    for row in table:
        x, y = panel.transData.transform(plots._point(row))
        assert inside.contains(x, y)
        assert not [name for name, box in labels.items() if box.contains(x, y)]
    for name, box in labels.items():
        assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
        assert not [other for other in labels if other != name and labels[other].overlaps(box)]


def test_a_board_that_cannot_be_drawn_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    made().write()
    pages.write()
    before = (tmp_path / PAGE).read_text()
    made("full").write()
    monkeypatch.setattr(plots, "draw", lambda found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pages.write()
    assert (tmp_path / PAGE).read_text() == before
    assert not list(tmp_path.glob(".*"))


def test_the_committed_board_is_what_the_committed_records_say(drawn):
    results = files.ROOT / "results"
    page, picture = render(record.records(results)).values()
    assert (results / PAGE).read_bytes() == page.encode()
    committed = (results / PICTURE).read_text("utf-8")
    if f"Matplotlib v{matplotlib.__version__}," in committed:  # another may draw otherwise
        assert committed == picture


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Make `tmp_path` RESULTS, with a board of two methods, and return it."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    for method in ("aim", "full"):
        os.utime(made(method).write(), (0, 0))  # a picture drawn in no time is younger, too
    pages.refresh()
    return tmp_path


def times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_a_record_that_is_gone_leaves_the_board(place):
    assert "`full`" in (place / PAGE).read_text()
    record.path(made("full").name).unlink()
    pages.refresh()
    assert "`full`" not in (place / PAGE).read_text() and "`aim`" in (place / PAGE).read_text()
    record.path(made("aim").name).unlink()
    pages.refresh()
    assert (place / PAGE).read_text() == render([])[PAGE] and not (place / PICTURE).exists()


@pytest.mark.parametrize("update", [pages.refresh, pages.write])
def test_a_board_that_is_right_is_not_touched(place, update):
    before = times(place)
    update()
    assert times(place) == before


def test_a_board_that_is_right_is_not_drawn(place, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda found: 1 / 0)
    pages.refresh()


def test_after_a_checkout_the_picture_is_drawn_once_to_compare(place, monkeypatch):
    os.utime(place / PICTURE, (0, 0))  # its time says nothing; it is the records', here
    pages.refresh()
    monkeypatch.setattr(plots, "draw", lambda found: 1 / 0)
    pages.refresh()


@pytest.mark.parametrize("name", [PAGE, PICTURE])
def test_what_is_missing_or_was_changed_is_written_again(place, name):
    right = (place / name).read_bytes()
    (place / name).unlink()
    pages.refresh()
    assert (place / name).read_bytes() == right
    (place / name).write_text("wrong")
    pages.write()
    assert (place / name).read_bytes() == right


def test_a_difference_below_the_pages_digits_reaches_the_picture(place, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda found: "<svg>new</svg>")
    before = (place / PAGE).read_bytes()
    later = (place / PICTURE).stat().st_mtime + 1
    os.utime(made("aim", top1=0.50001).write(), (later, later))
    pages.refresh()
    assert (place / PAGE).read_bytes() == before
    assert (place / PICTURE).read_text() == "<svg>new</svg>"


def test_where_nothing_ever_ran_there_is_no_board(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    pages.refresh()
    assert not list(tmp_path.iterdir())
