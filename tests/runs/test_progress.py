"""A person watching sees which run, how far, how well, and how much longer."""

import io
import time

import pytest
from made_record import made_record
from rich.console import Console

from benchmark.results import record
from benchmark.runs import progress
from benchmark.runs.progress import Follower
from benchmark.sweeps import display
from benchmark.sweeps.display import Display
from datamodules.progress_bar import format_duration

FIT = (1 - progress.BEFORE) * (1 - progress.TEST)  # the share of training, unless a run tells


@pytest.fixture
def now(monkeypatch):
    """Return the time, as a list of one number that a test may change."""
    clock = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_the_last_whole_line_is_read(tmp_path):
    assert progress.last(tmp_path) is None
    progress.write(tmp_path, stage="start")
    progress.write(tmp_path, stage="fit", step=3, steps=9)
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"time": 1, "stage": "te')  # not finished
    assert progress.last(tmp_path)["step"] == 3
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"time": 5, "stage": "fit"}\n')  # torn by a kill, then gone on
    assert progress.last(tmp_path)["step"] == 3
    progress.write(tmp_path, stage="done")
    assert progress.last(tmp_path)["stage"] == "done"


def test_only_the_end_of_a_long_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "TAIL", 100)
    for step in range(100):
        progress.write(tmp_path, stage="fit", step=step)
    assert progress.last(tmp_path)["step"] == 99


def test_the_time_of_all_starts_counts_times_their_devices_and_that_between_them_not(tmp_path, now):
    def told(after, **line):
        now[0] += after
        progress.write(tmp_path, **line)

    told(0, stage="start", devices=2)
    told(5, stage="fit", step=1)
    told(7, stage="fit", step=2)  # and is killed
    told(600, stage="killed", message="by somebody")
    told(900, stage="start", devices=4)
    told(1, stage="fit", step=2)
    told(2, stage="test")
    now[0] += 10
    assert progress.device_seconds(tmp_path) == 2 * 12 + 4 * 13


def test_what_an_earlier_start_said_does_not_count(tmp_path, now):
    progress.write(tmp_path, stage="done")
    now[0] += 10
    follower = Follower(tmp_path, since=now[0])
    follower.read()
    assert follower.line is None and follower.share == 0 and follower.left is None
    progress.write(tmp_path, stage="start")
    follower.read()
    assert follower.line["stage"] == "start"


def test_the_time_left_follows_from_the_speed_since_this_start(tmp_path, now):
    follower = Follower(tmp_path, since=now[0])
    shares = []
    for step in (50, 60, 70, 80):  # resumed in the middle, 10 steps in 10 seconds
        progress.write(tmp_path, stage="fit", step=step, steps=100, epoch=step // 10, epochs=10)
        follower.read()
        shares.append(follower.share)
        now[0] += 10
    before, fit = progress.BEFORE, FIT
    assert shares == sorted(shares) and shares[0] == pytest.approx(before + fit / 2)
    now[0] -= 10
    rest = (1 - shares[-1]) / fit * 100  # of 100 seconds for all steps
    assert follower.left == pytest.approx(rest)
    now[0] += 5
    assert follower.left == pytest.approx(rest - 5)


def test_who_comes_later_knows_the_time_left_at_once(tmp_path, now):
    for step in (50, 60, 70):
        progress.write(tmp_path, stage="fit", step=step, steps=100)
        now[0] += 10
    follower = Follower(tmp_path, since=0)
    follower.read()
    fit = FIT
    assert follower.left == pytest.approx((1 - follower.share) / fit * 100 - 10)


def test_a_run_that_is_started_again_is_measured_anew(tmp_path, now):
    follower = Follower(tmp_path, since=now[0])
    progress.write(tmp_path, stage="fit", step=80, steps=100)
    follower.read()
    now[0] += 1000  # its node died, and it goes on from an earlier checkpoint
    progress.write(tmp_path, stage="start")
    progress.write(tmp_path, stage="fit", step=50, steps=100)
    follower.read()
    assert follower.left is None
    now[0] += 10
    progress.write(tmp_path, stage="fit", step=60, steps=100)
    follower.read()
    fit = FIT
    assert follower.left == pytest.approx((1 - follower.share) / fit * 100)


def test_the_time_left_of_a_test_follows_from_the_tests_own_speed(tmp_path, now):
    follower = Follower(tmp_path, since=now[0])
    for step in (50, 100):  # 50 steps in 5 seconds
        progress.write(tmp_path, stage="fit", step=step, steps=100, test_share=0.5)
        now[0] += 5
    follower.read()
    assert follower.share == pytest.approx((1 + progress.BEFORE) / 2)
    for videos in (0, 10):
        progress.write(tmp_path, stage="test", step=videos, steps=100)
        follower.read()
        assert follower.left is None  # not "0 s left": nothing is known of its speed
        now[0] += 60
    progress.write(tmp_path, stage="test", step=20, steps=100)
    follower.read()
    assert follower.left == pytest.approx(8 * 60)  # 10 videos a minute
    assert str(follower) == "test, 20 of 100 videos"


def test_the_time_left_of_training_counts_the_test_by_its_part_of_the_work(tmp_path, now):
    follower = Follower(tmp_path, since=now[0])
    for step in (50, 100):  # 1 s a step
        progress.write(tmp_path, stage="fit", step=step, steps=100, test_share=0.8)
        now[0] += 50
    now[0] -= 50
    follower.read()
    assert follower.left == pytest.approx(400)


def test_stages_come_in_order(tmp_path):
    follower = Follower(tmp_path, since=0)
    shares = []
    for line in ({"stage": "start"}, {"stage": "fit", "step": 1, "steps": 2}, {"stage": "test"}):
        progress.write(tmp_path, **line)
        follower.read()
        shares.append(follower.share)
    progress.write(tmp_path, stage="done")
    follower.read()
    assert 0 == shares[0] < shares[1] < shares[2] < follower.share == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (185, "3:05 min"), (7800, "2:10 h")),
        (None, "?"),
    ],
)
def test_durations_are_for_reading(seconds, text):
    assert format_duration(seconds) == text


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")


def finish(name, top1=0.5):
    made_record(name, metrics={"top1": top1}).write()


NAMES = [f"quick/digits_motion/vit_digits/{method}/seed0" for method in ("aim", "full", "partial")]


def test_a_log_file_gets_a_line_per_event_and_one_now_and_then(tmp_path, results, now):
    out = io.StringIO()
    with Display("quick", NAMES, Console(file=out, width=200)) as shown:
        shown.started(NAMES[0], tmp_path / "a")
        shown.started(NAMES[1], tmp_path / "b")
        progress.write(tmp_path / "a", stage="fit", step=1, steps=100, epoch=0, epochs=10, loss=2.5)
        shown.draw()
        now[0] += display.SPARSE
        progress.write(
            tmp_path / "a", stage="fit", step=50, steps=100, epoch=5, epochs=10, loss=1.25, top1=0.5
        )
        for _ in range(5):
            shown.draw()
        finish(NAMES[0], 0.987)
        shown.ended(NAMES[0], "")
        shown.ended(NAMES[1], "the loss became nan")
    lines = out.getvalue().splitlines()
    assert lines == [
        f"start  {NAMES[0]}",
        f"start  {NAMES[1]}",
        "quick: 0 of 3 done, 1 waiting, about 1:06 min left; "
        "aim/seed0 epoch 6/10, loss 1.250, top-1 50 %, 34 s left; full/seed0 start",
        f"done   {NAMES[0]}: top-1 98.7 %, 30 s  [1 of 3]",
        f"failed {NAMES[1]}: the loss became nan  [2 of 3]",
    ]


def test_a_terminal_gets_a_table_that_moves(tmp_path, results, now):
    out = io.StringIO()
    console = Console(file=out, width=120, height=30, force_terminal=True, color_system=None)
    with Display("quick", NAMES, console) as shown:
        shown.started(NAMES[0], tmp_path / "a")
        for step in (10, 20):
            now[0] += 10
            progress.write(tmp_path / "a", stage="fit", step=step, steps=100, epoch=0, epochs=5)
            shown.draw()
    drawn = out.getvalue()
    assert "aim/seed0" in drawn and "epoch 1/5" in drawn and "left" in drawn and "━" in drawn
    assert "quick: 0 of 3 done, 2 waiting, about" in drawn


def test_the_sweeps_time_left_counts_what_waits(tmp_path, results, now):
    names = [NAMES[0].replace("seed0", f"seed{i}") for i in range(6)]
    shown = Display("", names, Console(file=io.StringIO()))
    assert shown.left is None
    for name in names[:2]:
        shown.started(name, tmp_path / name)
    assert shown.left is None  # nothing to judge by
    now[0] += 40
    finish(names[0])
    shown.ended(names[0], "")
    shown.started(names[2], tmp_path / names[2])
    # The second has run for 40 s, as long as the first did; the third has 40 s to go, and three
    # more wait for two places.
    assert shown.left == pytest.approx((0 + 40 + 3 * 40) / 2)


def test_what_runs_note_is_said_once(tmp_path, results):
    out = io.StringIO()
    with Display("quick", NAMES, Console(file=out, width=200)) as shown:
        for name in NAMES[:2]:
            shown.started(name, tmp_path / name)
            progress.write(tmp_path / name, stage="start")
            for note in ("cache=true takes 224 MB", "another"):
                progress.write(tmp_path / name, stage="start", note=note)
            progress.write(tmp_path / name, stage="fit", step=1, steps=9)
            shown.ended(name, "it failed")
    lines = out.getvalue().splitlines()
    assert [line for line in lines if line.startswith("note")] == [
        "note   cache=true takes 224 MB",
        "note   another",
    ]


def test_a_run_that_is_queued_again_waits(tmp_path, results, now):
    out = io.StringIO()
    with Display("quick", NAMES, Console(file=out, width=200)) as shown:
        shown.started(NAMES[0], tmp_path / "a", since=now[0] - 100)
        shown.waits(NAMES[0])
        shown.started(NAMES[0], tmp_path / "a")
        shown.ended(NAMES[1], "cancelled")  # which was never seen to run
    first, *middle, last = out.getvalue().splitlines()
    assert middle == [f"again  {NAMES[0]}: it has stopped, and waits to go on", first]
    assert last == f"failed {NAMES[1]}: cancelled  [1 of 3]" and shown.running.keys() == {NAMES[0]}


def test_names_with_brackets_are_printed_as_they_are(tmp_path, results):
    out = io.StringIO()
    name = "quick/d/b/st_adapter,kernel=[3,1,1]/seed0"
    with Display("", [name], Console(file=out, width=200)) as shown:
        shown.started(name, tmp_path)
        shown.ended(name, "[red]no[/red] [/]")
    assert f"start  {name}\n" in out.getvalue() and "[red]no[/red] [/]" in out.getvalue()
