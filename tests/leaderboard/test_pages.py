"""The board's pages are functions of the records, and say what a reader must know to believe it."""

import random
import statistics
from dataclasses import replace

import pytest
from made_board import METHODS, made, made_board

from benchmark.leaderboard import pages
from benchmark.leaderboard.columns import COLUMNS, MISSING, chosen, values
from benchmark.leaderboard.pages import escape, plain
from benchmark.leaderboard.tables import PICTURED, order_blind_ceiling, tables
from benchmark.results.schema import SplitChecksum
from datamodules.identity import ListedVideos


@pytest.fixture
def records():
    return made_board()


def page(records):
    return pages.board("digits", records)


def rows(text):
    """Return the cells of a page's tables, without headers."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_same_records_give_the_same_page_in_any_order(records):
    first = page(records)
    random.Random(1).shuffle(records)
    assert page(records) == first


def test_a_row_holds_what_its_seeds_say_together(records):
    found = {row[0].strip("`"): row for row in rows(page(records))}
    assert found.keys() == METHODS.keys()
    for method, (_, tunable) in METHODS.items():
        values = [100 * run.metrics.top1 for run in records if f"/{method}/" in run.name]
        _, _, top1, _, _, seeds, parameters, flops, time = found[method]
        mean, spread = statistics.mean(values), statistics.stdev(values)
        assert top1 == f"{mean:.1f} ± {spread:.1f}" and seeds == "3"
        assert parameters == f"{tunable / 1e3:.1f} k"
        assert flops == "0.0600 × 3" and time == "40 s"


def test_ablations_stand_in_a_table_of_their_own_below_their_recipes(records):
    changed = [made(f"{each},width=3", seed, 0.7) for each in ("full", "aim") for seed in range(3)]
    before, text = page(records), page([*records, *changed])
    main, _, below = text.partition("### Ablations on digits\\_motion")
    assert rows(main) == rows(before) and "### Ablations" not in before
    assert [row[0].strip("*`") for row in rows(below.replace("| **`", "| `"))] == [
        *("aim", "aim,width=3", "full", "full,width=3")  # in the order of recipes
    ]
    assert "ablations-dark.svg" in text and "ablations" not in before
    said = pages.index({"digits": pages.tested([*records, *changed])})
    assert "8 | 30 | `st_adapter`" in said
    lines = plain([*records, *changed]).splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["aim,width=3", "full,width=3", "chance:"]


def test_what_a_picture_shows_is_said_where_nobody_sees_it(records):
    text = page(records)
    said = "against tunable parameters; digits_motion: 8 methods, st_adapter 9"
    assert said in text and "linear_probe 1" in text.partition(said)[2].partition('"')[0]
    (line,) = [
        each
        for each in page([made('a"><script>`\n')]).splitlines()
        if each.startswith("  <img") and "intervals" in each
    ]
    assert "<script" not in line and "`" not in line and line.count('"') == 4


def test_the_best_comes_first_and_of_equals_the_one_that_trains_less():
    text = page(
        [made("a", top1=0.5, tunable=9), made("b", top1=0.5, tunable=3), made("c", top1=0.7)]
    )
    assert [row[0] for row in rows(text)] == ["`c`", "`b`", "`a`"]


def test_one_seed_has_no_spread_and_ranks_nothing(records):
    assert "±" not in "".join(map(str, rows(page([made()]))))
    assert "One seed ranks nothing" in page([made()])
    assert "One seed ranks nothing" not in page(records)


def test_protocol_data_and_backbone_have_tables_of_their_own():
    names = [
        "digits/digits_motion/vit_digits",
        "digits/digits_identity/vit_digits",
        "digits/ssv2/vit_b16_clip",
    ]
    text = page([made(table=name) for name in names])
    headings = [line for line in text.splitlines() if line.startswith("## ") and "·" in line]
    assert headings.pop() == r"## All data · vit\_digits"
    assert len(headings) == 3 and len(rows(text)) == 3 + 1  # the mean over both digits
    assert r"## ssv2 · vit\_b16\_clip" in headings


def test_over_all_data_who_was_beaten_everywhere_stands_before_who_lacks_some():
    one, other = "digits/digits_motion/vit_digits", "digits/digits_identity/vit_digits"
    runs = [
        made(each, 0, top1, table=t) for t in (one, other) for each, top1 in (("x", 1), ("z", 0))
    ]
    _, _, overall = page([*runs, made("a", table=one)]).partition("## All data")
    found = [(row[0].strip("`"), row[2]) for row in rows(overall)]
    assert found == [("x", "2"), ("z", "0"), ("a", MISSING)]


def test_big_numbers_are_written_as_papers_do():
    cost = {"macs_per_view": 151_800_000_000, "train_seconds": 4000}
    (row,) = rows(page([made(tunable=7_202_000, cost=cost)]))
    assert row[6:] == ["7.20 M", "151.8 × 3", "1:06 h"]


def test_what_is_merged_says_so():
    (row,) = rows(page([made(cost={"merged": True})]))
    assert row[7] == "0.0600 × 3 merged"


def test_a_ceiling_for_order_blind_models_is_explained(records):
    ceiling = [replace(run, data=replace(run.data, order_blind_ceiling=0.5)) for run in records]
    with_, without = page(ceiling), page(records)
    assert "**50 %**" in with_ and "reversed" in with_ and "reversed" not in without
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
        ({"environment": {"device": "a cluster"}}, "Trained on a cluster; a laptop."),
        ({"data": {"shared": 3}}, "§ Tested on training videos: 3 of 4 test videos are, the same"),
        ({"data": {"shared": 1, "shared_content": 2}}, "2 of 4 test videos are, by content."),
        (
            {"data": {"broken": (1, 2), "broken_names": ("a|b.mp4", "c.mp4")}},
            r"¶ 2 of 4 training videos could not be decoded, such as a\|b.mp4: others stood in",
        ),
        ({"data": {"broken": (3,)}}, "¶ 1 of 4 training videos could not be decoded: others"),
        ({"data": {"broken_test": (0,)}}, "¤ 1 of 4 test videos could not be decoded, and count"),
    ],
)
def test_what_makes_records_differ_is_noted(other, note):
    assert note in page([made(seed=0), made(seed=1, **other)])
    assert note not in page([made(seed=0), made(seed=1)])


def test_records_of_other_data_have_a_table_of_their_own_that_says_what_is_other():
    videos = {"test": SplitChecksum(videos=5, sha256="y")}
    same = ListedVideos(videos=4, sha256="x", names_sha256="n", per_class=(2, 2))
    known = {"listed": {"train": same, "test": same}}  # the others are of an older version
    runs = [made(seed=0), made("full"), made(seed=1, top1=0.9, data={"splits": videos})]
    runs += [made(seed=2, data=known), made("full", 1, data={"classes": ("up", "down")})]
    text = page(runs)
    name = r"## digits\_motion · vit\_digits"
    headings = [line for line in text.splitlines() if line.startswith("## ") and "·" in line]
    assert headings == [name, f"{name}, other data", f"{name}, other data 3"]
    assert "**Not the data of the first table of this name:** 5 test videos, 4 before." in text
    assert "2 classes, 2 before (2 new, such as 'down'; 2 gone, such as 'left')" in text
    seeds = [(row[0].strip("`"), row[2], row[5]) for row in rows(text)]
    assert sorted(seeds[:2]) == [("aim", "50.0 ± 0.0", "2"), ("full", "50.0", "1")]
    assert seeds[2:] == [("aim", "90.0", "1"), ("full", "50.0", "1")]
    assert "other data: 5 test videos, 4 before" in plain(runs)
    assert ", other data" not in page([made(seed=0), made(seed=1)])


def test_marks_stand_at_the_row_they_are_about():
    text = page([made("a", environment={"dirty": True}), made("b"), made("c"), made("c", 1, lr=1)])
    assert sorted(row[0] for row in rows(text)) == ["`a`†", "`b`", "`c`‡"]


@pytest.mark.parametrize(
    ("asked", "used", "marked"),
    [
        ("16-mixed", "bf16-mixed", True),
        ("16-mixed", "16-mixed", False),
        ("32", "32-true", False),
        ("bf16", "bf16-mixed", False),
        ("16-mixed", None, False),  # an older record
    ],
)
def test_another_precision_than_was_asked_for_is_marked(asked, used, marked):
    run = made(environment={"precision": used})
    run = replace(run, recipe={**run.recipe, "trainer": {"precision": asked}})
    text = page([run])
    assert ("◊ Computed in bf16-mixed, not in 16-mixed as asked for" in text) == marked
    assert ("`aim`◊" in text) == marked


def test_a_mark_stands_in_a_terminal_with_its_line_under_the_table():
    lines = plain([made("aim", data={"shared": 3}), made("full")]).splitlines()
    assert sorted(line.split()[0] for line in lines[2:4]) == ["aim§", "full"]
    assert lines[5] == "§ Tested on training videos: 3 of 4 test videos are, the same files."


def test_code_that_nobody_knows_is_dirty():
    text = page([made(environment={"commit": "unknown", "dirty": True})])
    assert "†" in text and "unknown" not in text
    text = page([made(environment={"commit": "unknown", "dirty": True}), made(seed=1)])
    assert "`unknown` (1 run)" in text


def test_tuning_runs_are_left_out_and_counted():
    text = page([made("a"), made("b", split="holdout")])
    assert len(rows(text)) == 1 and "Left out: 1 run scored on held-out" in text


def test_no_records_give_a_page_that_says_what_to_do():
    assert "make sweep" in pages.index({})


def test_names_and_devices_from_outside_stay_text():
    method = "a|b`<script>alert(1)$x$"
    device = "<img src=x> | *bold* [link](http://x)\n# heading"
    text = page([made(method, environment={"device": device})])
    (row,) = rows(text)
    assert len(row) == 9 and row[0].startswith("`a\\|b'") and row[0].endswith("`")
    assert "<img src=x" not in text and "\n# heading" not in text and r"\[link\](" in text
    assert r"\*bold\*" in text


def test_escaped_text_holds_nothing_that_markdown_reads():
    assert escape("a_b") == r"a\_b"
    assert escape("<b>&") == "&lt;b&gt;&amp;"
    assert escape("1\n2\t3") == "1 2 3"


def test_every_column_is_once_and_says_of_a_row_what_records_say(records):
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
    assert len({column.title for column in COLUMNS}) == len(COLUMNS)
    (table,) = tables(records).values()
    for row in table:
        found = values(row)
        for key in ("trained_parameters", "total_parameters", "train_seconds", "views"):
            assert found[key] == statistics.mean(getattr(run.cost, key) for run in row.records)
        assert found["top1"] == row.top1.mean and found["top1_sd"] == row.top1.sd
        assert found["macs"] == found["macs_per_view"] * found["views"]
    directions = {column.name: column.direction for column in COLUMNS if column.unit}
    assert directions.pop("seeds") is None
    assert directions.pop("interval") is None
    higher = {name for name, direction in directions.items() if direction == "higher"}
    accuracies = {"top1", "to_full", "to_recipe", "top5", "mean_class", "ppt", "pmt"}
    assert higher == accuracies | {name for name in directions if "per_second" in name}
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
        *("interval", "rank", "to_full", "pmt", "measured_by", "tuned"),
        *("time", "kind", "ablation_of", "to_recipe"),
    }


def test_the_default_view_is_accuracy_parameters_and_cost_and_the_rest_one_flag_away(records):
    default = ["method", "time", "top1", "interval", "rank", "seeds"]
    default += ["trained_parameters", "macs_per_view", "train_seconds"]
    assert [column.name for column in chosen()] == default
    assert chosen(every=True) == COLUMNS
    heads = [plain(records, every=every).splitlines()[1] for every in (False, True)]
    for head, columns in zip(heads, (chosen(), COLUMNS), strict=True):
        assert head.split() == " ".join(column.title for column in columns).split()


def test_costs_that_one_run_does_not_know_are_left_open():
    knows, lacks = made(cost={"training_macs": 5}), made(seed=1)
    (row,) = tables([knows])["digits/digits_motion/vit_digits"]
    assert values(row)["training_macs"] == 5
    (row,) = tables([knows, lacks])["digits/digits_motion/vit_digits"]
    assert values(row)["training_macs"] is None and values(row)["views"] == 3


def test_a_terminal_gets_aligned_columns(records):
    lines = plain(records).splitlines()
    assert lines[0] == "digits/digits_motion/vit_digits" and len(lines) == 3 + len(METHODS)
    assert len({len(line) for line in lines[1:-1]}) == 1
    assert lines[2].startswith("st_adapter ") and lines[-1] == "chance: 50.0 %"


def test_of_scratch_runs_what_all_share_is_said_once_and_what_differs_in_the_row():
    table = "scratch/quick/digits_motion/vit_digits"
    many = ",".join(f"data.k{i}=1" for i in range(20))
    found = plain([made(f"aim,{many},optim.lr={lr}", table=table) for lr in (0.1, 0.2)])
    lines = found.splitlines()
    assert lines[0] == table and max(map(len, lines)) <= pages.WIDTH
    assert found.count("data.k7=1") == 1
    first = [line.split()[0] for line in lines[-3:]]
    assert first == ["aim,optim.lr=0.1", "aim,optim.lr=0.2", "chance:"]
    (kept,) = (line for line in plain([made("aim,width=3")]).splitlines() if line.startswith("aim"))
    assert kept.startswith("aim,width=3 ")


def test_chance_is_the_most_frequent_class_or_of_older_records_a_guess():
    old, new = made(top1=0.6), made("full", top1=0.55, metrics={"chance": 0.52})
    assert "Chance is 50.0 %: a guess among the classes." in page([old])
    assert "Chance is 52.0 %: always the most frequent class." in page([new])


def test_the_index_leads_to_every_board():
    found = {"digits": pages.tested(made_board()), "own": pages.tested([made(table="own/x/y")])}
    text = pages.index(found)
    assert "[digits](digits/README.md)" in text and "[own](own/README.md)" in text
    assert "8 | 24 | `st_adapter`" in text and 'srcset="digits/accuracy-dark.svg"' in text


def test_a_board_of_many_tables_says_which_its_pictures_show():
    def page(count):
        return pages.board(
            "digits", [made(table=f"digits/data{number}/vit_digits") for number in range(count)]
        )

    assert f"Pictures show the first {PICTURED} of {PICTURED + 1} tables." in page(PICTURED + 1)
    assert "Pictures show" not in page(PICTURED)
