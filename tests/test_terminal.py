"""Printing ends no work, wherever it leads: an ASCII terminal, a reader that left, a full disk."""

import io
import os
import subprocess
import sys

import pytest

from benchmark import terminal
from benchmark.cli.parser import main
from benchmark.results import record

FULL = "/dev/full"  # a disk that is
SMALL = "data.train=16 data.holdout=16 data.test=16 train.batch=8 train.epochs=1 workers=0"
RUN = f"quick/digits_motion/vit_digits/linear_probe {SMALL} wandb.enabled=false"


class Disk(io.BytesIO):
    """A disk that has no room left once a text is written out."""

    def flush(self):
        if self.getvalue():
            raise OSError(28, "No space left on device")

    def fileno(self):
        return os.open(os.devnull, os.O_WRONLY)


def printed(monkeypatch, text, encoding):
    below = io.BytesIO()
    stdout = io.TextIOWrapper(below, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    with terminal.forgiving() as stream:
        print(text)
    assert sys.stdout is stdout and stream.error is None
    return below.getvalue().decode(encoding).rstrip("\n")


def test_what_ascii_lacks_gets_a_stand_in(monkeypatch):
    text = "77.8 ± 3.1, 8 × 3, ‡ 素"
    assert printed(monkeypatch, text, "ascii") == "77.8 +- 3.1, 8 x 3, ++ \\u7d20"
    assert printed(monkeypatch, text, "utf-8") == text


def test_a_file_name_that_is_no_text_is_printed(monkeypatch):
    name = os.fsdecode(b"\xff.mp4")
    assert printed(monkeypatch, name, "utf-8") == "\\udcff.mp4"


def test_a_full_disk_behind_stdout_ends_nothing_and_is_told_at_the_end(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Disk(), encoding="utf-8"))
    with terminal.forgiving() as stream:
        for number in range(3):
            print(number, flush=True)
        assert terminal.exit_code(0, stream) == 1 and terminal.exit_code(2, stream) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("error: standard output: No space left on device")


def test_a_closed_stdout_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["list"]) == 0


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full here")
def test_a_command_on_a_full_disk_says_one_line_and_fails():
    command = f"{sys.executable} -m benchmark list > {FULL}"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1
    assert "No space left on device" in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full here")
def test_a_run_is_recorded_by_ascii_and_on_a_full_disk(tmp_path):
    places = {"RUNS": str(tmp_path / "runs"), "RESULTS": str(tmp_path / "results")}
    ascii_only = {**os.environ, **places, "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    ran = {}
    for seed, (target, code) in enumerate({FULL: 1, tmp_path / "out": 0}.items()):
        command = f"{sys.executable} -m benchmark run {RUN} seed={seed} > {target}"
        ended = subprocess.run(
            command, shell=True, capture_output=True, text=True, env=ascii_only, timeout=300
        )
        ran[seed] = ended.returncode == code, ended.stderr
    assert all(fine for fine, _ in ran.values()), ran
    found = sorted((tmp_path / "results").rglob("seed*.json"))
    assert [record.read(file).recipe["seed"] for file in found] == [0, 1]
    told = ran[0][1].splitlines()
    assert len(told) == 1 and "No space left on device" in told[0]
    assert (tmp_path / "out").read_bytes().isascii()
    assert " x " in (tmp_path / "out").read_text()  # of GFLOPs, times views
