"""What a table concludes of its rows rests on the answers to the same videos."""

import numpy as np
import pytest
from made_board import ABLATIONS, field, made

from benchmark.leaderboard.columns import COLUMNS, MISSING
from benchmark.leaderboard.tables import tables
from benchmark.results import record
from benchmark.results.answers import Evidence, evidence
from datamodules import files

VIDEOS = 400
TEXTS = {column.name: column.text for column in COLUMNS}


def test_no_rank_or_interval_of_a_recipe_hangs_on_an_ablation():
    recipes = {"aim": 0.9, "st_adapter": 0.8, "full": 0.5}
    alone, rows = judged(recipes), judged({**recipes, "aim,width=3": 0.7, "zeroi2v,layers=2": 0.4})
    for method, row in alone.items():
        assert rows[method].interval == row.interval and rows[method].ranks == row.ranks
        assert rows[method].to_recipe is None and not rows[method].ablation
    changed, orphan = rows["aim,width=3"], rows["zeroi2v,layers=2"]
    assert changed.ranks is None and changed.interval is not None
    assert changed.to_recipe.value == changed.estimate.mean - rows["aim"].estimate.mean
    assert changed.to_recipe.high < 0 and TEXTS["to_recipe"](changed).startswith("-")
    assert changed.to_full.low > 0 and TEXTS["ablation_of"](changed) == "aim"
    assert orphan.ablation and orphan.to_recipe is None and orphan.interval is not None


def test_where_all_rows_are_changed_recipes_they_are_compared_with_each_other():
    rows = judged({"aim,width=3": 0.9, "aim,width=30": 0.5})
    assert [str(row.ranks) for row in rows.values()] == ["1", "2"]
    assert not any(row.ablation for row in rows.values())


def test_a_row_says_whether_its_method_sees_time_as_far_as_anyone_knows():
    found = {row.method: row for row in next(iter(tables(field()).values()))}
    said = {method: TEXTS["time"](row) for method, row in found.items()}
    assert [said[each] for each in ("aim", "full_divided", "full", "lora")] == [
        *("yes", "yes", "no", "no")
    ]
    kinds = {method: TEXTS["kind"](row) for method, row in found.items()}
    assert [kinds[each] for each in ("aim", "full_divided", "full", "lora")] == [
        *("video method", "baseline", "baseline", "control")
    ]
    assert {said[each] for each in ABLATIONS} == {kinds[each] for each in ABLATIONS} == {MISSING}
    gone = made("gone")
    gone.recipe["method"] = {"name": "of_nobody"}
    ((row,),) = tables([gone]).values()
    assert row.kind is None and TEXTS["time"](row) == MISSING


def judged(accuracies, seeds=3, split="x", clusters=None):
    """Return the rows, by method, of a table whose runs are right as often as given."""
    clusters = np.arange(VIDEOS) if clusters is None else clusters

    def found(run):
        *_, method, seed = run.name.split("/")
        generator = np.random.default_rng([len(method), int(seed[4:])])
        right = generator.random(VIDEOS) < accuracies[method]
        return Evidence(right, clusters, split if isinstance(split, str) else split[method])

    runs = [
        made(method, seed, accuracies[method]) for method in accuracies for seed in range(seeds)
    ]
    (rows,) = tables(runs, found).values()
    return {row.method: row for row in rows}


def test_rows_that_differ_by_far_have_ranks_of_their_own_and_others_share_them():
    rows = judged({"aim": 0.9, "st_adapter": 0.9, "full": 0.5, "partial": 0.2})
    assert [str(rows[each].ranks) for each in ("aim", "st_adapter", "full", "partial")] == [
        *("1-2", "1-2", "3", "4")
    ]
    for row in rows.values():
        low, high = row.interval
        assert low < row.estimate.mean < high and TEXTS["interval"](row) == (
            f"{100 * low:.1f}–{100 * high:.1f}"
        )


def test_the_difference_to_full_fine_tuning_is_of_the_same_videos():
    rows = judged({"aim": 0.9, "full": 0.5})
    found = rows["aim"].to_full
    assert 0.3 < found.low < found.value < found.high
    assert found.value == rows["aim"].estimate.mean - rows["full"].estimate.mean
    assert rows["full"].to_full is None and TEXTS["to_full"](rows["full"]) == MISSING
    assert judged({"aim": 0.9})["aim"].to_full is None


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_have_an_interval_of_videos_and_no_rank(seeds):
    rows = judged({"aim": 0.9, "full": 0.5}, seeds)
    for row in rows.values():
        assert row.ranks is None and TEXTS["rank"](row) == MISSING
        assert TEXTS["interval"](row).endswith(", seeds unknown")


def test_clusters_that_answer_alike_make_an_interval_wider():
    every, few = (
        judged({"aim": 0.9}, clusters=np.arange(VIDEOS) // size)["aim"].interval for size in (1, 40)
    )
    assert few[1] - few[0] > every[1] - every[0]


def test_a_row_of_other_videos_or_without_answers_is_not_judged_with_the_others():
    rows = judged({"aim": 0.9, "full": 0.5}, split={"aim": "x", "full": "y"})
    assert rows["aim"].interval and rows["full"].interval is None
    assert TEXTS["interval"](rows["full"]) == TEXTS["rank"](rows["full"]) == MISSING
    (table,) = tables([made()], lambda run: None).values()
    assert table[0].interval is None


@pytest.mark.slow
def test_the_committed_records_have_their_answers(monkeypatch):
    monkeypatch.setattr(record, "RESULTS", files.ROOT / "results")
    runs = record.records(record.RESULTS / "fair")
    assert runs
    for run in runs:
        found = evidence(run)
        assert np.count_nonzero(found.right) / len(found.right) == run.metrics.top1
        assert len(np.unique(found.clusters)) < len(found.clusters) == run.metrics.videos


def test_answers_that_are_broken_are_told_and_give_no_interval(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    run = made()
    place = record.path(run.name).parents[3] / "splits" / f"{'x' * 16}.npz"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"nothing")
    monkeypatch.setitem(run.data.splits, "test", run.data.splits["test"])
    assert evidence(run) is None  # of another checksum: nothing is kept
    place.rename(place.with_name(f"{run.data.splits['test'].sha256[:16]}.npz"))
    assert evidence(run) is None
    assert capsys.readouterr().err.startswith("warning: no interval: ")
