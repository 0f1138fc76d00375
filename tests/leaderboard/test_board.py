"""The board on disk follows the records, and what is right is not touched."""

import os

import matplotlib
import pytest
from made_board import made

from benchmark.leaderboard import board, pages, pictures
from benchmark.leaderboard.board import PAGE, PICTURES
from benchmark.results import record
from datamodules import files


@pytest.fixture
def drawn():
    """Ask for real pictures."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """Leave out the pictures where nobody looks at them: they take longer than all the rest."""
    monkeypatch.setattr(board, "interactive_possible", lambda: False)
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(pictures, "draw", lambda found: dict.fromkeys(PICTURES, "<svg/>"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Make `tmp_path` RESULTS, with a board of two methods, and return the board's folder."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    for method in ("aim", "full"):
        os.utime(made(method).write(), (0, 0))  # a picture drawn in no time is younger, too
    board.refresh()
    return tmp_path / "digits"


def broken(found):
    raise ZeroDivisionError


def test_a_picture_that_nobody_here_may_touch_is_no_error(place, monkeypatch):
    def refused(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    board.write()


def test_two_processes_may_write_a_page_at_once(place, monkeypatch):
    fsync = os.fsync

    def meanwhile(descriptor):
        monkeypatch.setattr(os, "fsync", fsync)
        board._write_file(place / PAGE, "theirs")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    board._write_file(place / PAGE, "ours")
    assert (place / PAGE).read_text() == "ours" and not list(place.glob(".*"))


def times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_a_board_that_cannot_be_drawn_leaves_the_old_one(place, monkeypatch):
    before = (place / PAGE).read_text()
    made("zeroi2v").write()
    monkeypatch.setattr(pictures, "draw", broken)
    with pytest.raises(ZeroDivisionError):
        board.write()
    assert (place / PAGE).read_text() == before
    assert not list(place.glob(".*"))


@pytest.mark.slow
def test_the_committed_boards_are_what_the_committed_records_say(drawn):
    results = files.ROOT / "results"
    found = pages.by_protocol(record.records(results / "fair"))  # others may lie beside them
    (protocol,) = found
    index = pages.index({protocol: pages.tested(found[protocol])})
    assert (results / PAGE).read_bytes() == index.encode()
    for name, text in board.render(protocol, found[protocol]).items():
        committed = (results / protocol / name).read_text("utf-8")
        if name == PAGE or f"Matplotlib v{matplotlib.__version__}," in committed:
            assert committed == text, name  # another Matplotlib may draw otherwise


def test_the_index_and_so_what_git_sees_does_not_change_with_what_git_ignores(monkeypatch):
    monkeypatch.setattr(record, "RESULTS", files.ROOT / "results")
    assert board.out_of_git(["quick", "digits", "scratch"]) == {"quick", "scratch"}


def test_every_protocol_has_a_board_of_its_own(place):
    made(table="own/clips/vit_digits").write()
    board.refresh()
    assert "## clips" in (place.parent / "own" / PAGE).read_text()
    assert "· vit" in (place / PAGE).read_text() and "## clips" not in (place / PAGE).read_text()
    assert "[own](own/README.md)" in (place.parent / PAGE).read_text()


def test_a_record_that_is_gone_leaves_the_board(place):
    assert "`full`" in (place / PAGE).read_text()
    record.path(made("full").name).unlink()
    board.refresh()
    assert "`full`" not in (place / PAGE).read_text() and "`aim`" in (place / PAGE).read_text()
    record.path(made("aim").name).unlink()
    board.refresh()
    assert not [each for each in place.iterdir() if each.is_file()]
    assert (place.parent / PAGE).read_text() == pages.index({})


@pytest.mark.parametrize("update", [board.refresh, board.write])
def test_a_board_that_is_right_is_not_touched(place, update):
    texts = {file for file in times(place.parent) if file.suffix != ".svg"}
    before = {file: time for file, time in times(place.parent).items() if file in texts}
    update()
    assert {file: times(place.parent)[file] for file in texts} == before


def test_a_board_that_is_right_is_not_drawn(place, monkeypatch):
    monkeypatch.setattr(pictures, "draw", broken)
    board.refresh()


def test_after_a_checkout_the_picture_is_drawn_once_to_compare(place, monkeypatch):
    os.utime(place / PICTURES[0], (0, 0))  # its time says nothing; it is the records', here
    board.refresh()
    monkeypatch.setattr(pictures, "draw", broken)
    board.refresh()


@pytest.mark.parametrize("name", [PAGE, PICTURES[0]])
def test_what_is_missing_or_was_changed_is_written_again(place, name):
    right = (place / name).read_bytes()
    (place / name).unlink()
    board.refresh()
    assert (place / name).read_bytes() == right
    (place / name).write_text("wrong")
    board.write()
    assert (place / name).read_bytes() == right


def test_a_difference_below_the_pages_digits_reaches_the_picture(place, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda found: dict.fromkeys(PICTURES, "<svg>new</svg>"))
    before = (place / PAGE).read_bytes()
    later = (place / PICTURES[0]).stat().st_mtime + 1
    os.utime(made("aim", top1=0.50001).write(), (later, later))
    board.refresh()
    assert (place / PAGE).read_bytes() == before
    assert (place / PICTURES[0]).read_text() == "<svg>new</svg>"


def test_where_nothing_ever_ran_there_is_no_board(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    board.refresh()
    assert not list(tmp_path.iterdir())
