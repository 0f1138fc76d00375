"""How fast the board is: told per step, of copies that go away."""

import re
import tempfile
from pathlib import Path

import pytest

from benchmark.cli.parser import main
from benchmark.cost import board_speed
from benchmark.results import record


@pytest.mark.slow
def test_copies_of_a_committed_record_are_timed_and_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board_speed, "SIZES", (3,))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = record.RESULTS
    assert main(["bench-board"]) == 0
    *_, told = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +3(  +[\d.]+ s){4}  [\d.]+ ms", told)
    assert record.RESULTS == before and not list(tmp_path.iterdir())
