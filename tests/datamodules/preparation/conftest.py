"""What tests of packed videos share: packing in this process, into a folder of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datamodules import files
from datamodules.decoding import reading
from datamodules.preparation import pack as packing


@pytest.fixture
def packing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack in this process: starting others takes seconds. Wait for nothing."""
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(reading.time, "sleep", lambda seconds: None)

    def map_here(work: Callable[[str], Any], items: list[str], **_: Any) -> Iterator[Any]:
        return ((item, work(item), None) for item in items)

    monkeypatch.setattr(packing, "map_in_processes", map_here)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new"
