"""A walk does every file once, goes on where it was killed, and outlives what kills its workers."""

import ctypes
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from places import FIXTURES
from rich.console import Console

from datamodules import progress_bar
from datamodules.decoding.video import DecodeError
from datamodules.errors import UserError
from datamodules.files import exclusive
from datamodules.preparation import resumable
from datamodules.preparation.resumable import FINE, for_each_file, read
from datamodules.preparation.workers import WorkerError, map_in_processes
from datamodules.progress_bar import ProgressBar

NAMES = ["a", "b", "c", "d"]


def work(root: str, name: str) -> dict[str, object]:
    """Do what a file says, and note that it was done."""
    with open(f"{root}/done", "a") as file:
        file.write(name)
    match open(f"{root}/{name}").read():
        case "crash":
            ctypes.string_at(0)
        case "crash once" if open(f"{root}/done").read().count(name) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case "cut":
            raise DecodeError(f"{root}/{name}: it is cut off")
        case "full disk" if not os.path.exists(f"{root}/room"):
            raise OSError(errno.ENOSPC, "No space left on device")
        case "busy" if not os.path.exists(f"{root}/room"):
            raise OSError(errno.EBUSY, "Device or resource busy")
        case "leave":
            os._exit(3)
        case "wait":
            time.sleep(0.2)
    return {"letter": name.upper()}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text("fine")
    return folder


def go(root, names=NAMES, **options):
    options = {"title": "work", "workers": 2, "patience": 20.0} | options
    return for_each_file(
        root, names, root.parent / "log.jsonl", partial(work, str(root)), **options
    )


def problems(rows):
    return {name: row["problem"] for name, row in rows.items() if row["problem"] is not None}


def done(root):
    found = sorted((root / "done").read_text()) if (root / "done").exists() else []
    (root / "done").unlink(missing_ok=True)
    return found


def test_every_file_is_done_once_and_kept(root):
    rows = go(root, [*NAMES, "a"])
    assert list(rows) == NAMES and [row["letter"] for row in rows.values()] == list("ABCD")
    assert done(root) == NAMES
    assert go(root) == rows and done(root) == []


def test_only_what_has_changed_or_is_new_is_done_again(root):
    go(root, NAMES[:3])
    done(root)
    (root / "b").write_text("changed")
    assert list(go(root)) == NAMES and done(root) == ["b", "d"]


def test_rows_that_no_longer_hold_are_done_again(root):
    go(root)
    done(root)
    go(root, holds=lambda row: row["letter"] != "C")
    assert done(root) == ["c"]


def test_rows_of_files_that_are_not_asked_for_stay(root):
    go(root)
    assert list(go(root, ["d", "b"])) == ["d", "b"]
    assert {row["name"] for row in read(root.parent / "log.jsonl")} == set(NAMES)


def test_what_goes_wrong_is_the_files_problem(root):
    for name, what in zip(NAMES, ("crash", "cut", "busy", "hang"), strict=True):
        (root / name).write_text(what)
    rows = go(root, [*NAMES, "missing"], patience=0.5)
    assert problems(rows) == {
        "a": "it killed the process that read it (SIGSEGV)",
        "b": "it is cut off",
        "c": "OSError: [Errno 16] Device or resource busy",
        "d": "it took longer than 0.5 s",
        "missing": f"FileNotFoundError: [Errno 2] No such file or directory: '{root}/missing'",
    }
    assert rows["missing"]["size"] is None and rows["d"]["size"] == 4
    done(root)
    (root / "room").touch()
    assert problems(go(root)).keys() == {"a", "b", "d"}
    assert done(root) == ["c"]  # what may not have been its fault


def test_a_full_disk_ends_the_walk_and_is_no_files_problem(root):
    (root / "b").write_text("full disk")
    with pytest.raises(UserError) as caught:
        go(root, workers=1)
    said = f"{root.parent}: No space left on device: nothing more can be written; what is done is"
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    assert [row["name"] for row in read(root.parent / "log.jsonl")] == ["a"]
    assert done(root) == ["a", "b"]
    (root / "room").touch()
    assert not problems(go(root)) and done(root) == ["b", "c", "d"]


def test_a_log_that_cannot_be_written_is_told(root, monkeypatch):
    def full(log, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resumable, "write", full)
    with pytest.raises(UserError, match="No space left on device: nothing more can be written"):
        go(root)


def test_a_file_gets_a_second_worker(root):
    (root / "b").write_text("crash once")
    assert not problems(go(root)) and done(root) == ["a", "b", "b", "c", "d"]


def test_a_worker_that_ends_by_itself_ends_the_walk(root):
    (root / "b").write_text("leave")
    with pytest.raises(WorkerError, match="code 3 at b"):
        list(map_in_processes(partial(work, str(root)), ["b"], workers=1, patience=20))


def test_a_row_torn_by_a_kill_is_done_again(root):
    rows = go(root)
    log = root.parent / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-10])
    done(root)
    assert go(root).keys() == rows.keys()
    assert len(done(root)) == 1 and len(list(read(log))) == 4


def test_broken_rows_are_found_without_reading_the_others(root):
    tricky = '"problem": null'
    (root / tricky).write_text("cut")
    go(root, [*NAMES, tricky])
    log = root.parent / "log.jsonl"
    assert [row["name"] for row in read(log, broken=True)] == [tricky]
    assert sum(FINE in line for line in log.read_bytes().splitlines()) == 4


@pytest.mark.slow
def test_a_killed_walk_goes_on_where_it_was(root, tmp_path):
    names = [str(i) for i in range(40)]
    for name in names:
        (root / name).write_text("wait")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
sys.path.insert(1, {str(FIXTURES)!r})
from pathlib import Path
from test_resumable import go
if __name__ == "__main__":
    go(Path({str(root)!r}), {names!r})
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)])
    log = root.parent / "log.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and len(log.read_bytes()) > 300):
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = {row["name"] for row in read(log)}
    assert 0 < len(before) < 40
    time.sleep(0.5)  # workers end when they have nobody to answer to
    (root / "done").unlink()
    assert list(go(root, names)) == names
    again = (root / "done").read_text()
    assert len(again) == sum(len(name) for name in names if name not in before)


def test_two_walks_do_not_write_the_same_log(root):
    code = f"""
import fcntl, time
lock = open({str(root.parent / "log.jsonl.lock")!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match=r"log\.jsonl is being written by another process"):
            go(root)
        other.kill()
    assert list(go(root)) == NAMES


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write .*file"),
        exclusive(tmp_path / "file" / "log"),
    ):
        pass


def test_progress_tells_how_far_and_how_much_longer(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with ProgressBar("work", 1000, Console(file=out)) as told:
        for i in range(250):
            now[0] += 0.5
            told.advance(broken=i < 2)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4  # 125 seconds, a line every 30
    assert lines[-1] == "work: 240 of 1,000, 2 broken, 2/s, about 6:20 min left"


def test_a_log_is_lines_of_json(root):
    go(root)
    row = json.loads((root.parent / "log.jsonl").read_text().splitlines()[0])
    assert row.keys() == {"name", "size", "changed", "problem", "letter"}
