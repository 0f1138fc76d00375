"""A process that says how it ends: what is to be done is done, and nothing is taken apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.files import ROOT

SCRIPT = """
import benchmark.runs.leaving  # before anything else
import atexit, os, sys, threading, time
class Held:
    def __del__(self, write=os.write):
        write(1, b"freed\\n")
sys.held = Held()
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
atexit.register(print, "registered", end="")  # no newline: it has to be flushed
print("begun")
"""
DONE = "begun\nthread\nregistered"


def end(how: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """Let a process end so, with its output kept back until then."""
    argv = [sys.executable, "-c", SCRIPT + how]
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(argv, cwd=ROOT, env=env, text=True, stdout=stdout, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_what_is_registered_is_done_and_nothing_is_freed() -> None:
    ended = end("benchmark.runs.leaving.leave(7)")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, DONE, "")


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [("1 / 0", 1), ("sys.exit('no')", 1), ("", 0)])
def test_any_other_end_is_pythons_own(how: str, code: int) -> None:
    ended = end(how)
    assert (ended.returncode, ended.stdout) == (code, f"{DONE}freed\n")
    last = {"1 / 0": "ZeroDivisionError: division by zero", "sys.exit('no')": "no", "": ""}[how]
    assert (ended.stderr.splitlines() or [""])[-1] == last


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has such a disk")
def test_words_that_cannot_be_printed_are_told_as_python_does() -> None:
    with Path("/dev/full").open("w") as full:
        plain, ours = (end(each, full.fileno()) for each in ("", "benchmark.runs.leaving.leave(0)"))
    assert plain.returncode == ours.returncode == 120
