"""What a run learns of its memory it keeps to; the kernel's count says what was killed for it."""

import sys
import textwrap
from pathlib import Path

import pytest

from benchmark.runs import memory, process
from benchmark.runs.memory import Room, halve
from benchmark.runs.process import RunCommand

VERSIONS = {  # of cgroups: what /proc says, where the count stands, and as what
    "two": ("0::/some/run\n", "some/run/memory.events", "low 0\noom 3\noom_kill {}\n"),
    "one": (
        "5:cpu:/x\n4:memory:/some/run\n0::/\n",
        "memory/some/run/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
    ),
    "two, in a container": ("0::/elsewhere\n", "memory.events", "oom_kill {}\n"),
}


@pytest.fixture
def counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    own, place, text = VERSIONS[getattr(request, "param", "two")]
    (tmp_path / "own").write_text(own)
    file = tmp_path / "cgroup" / place
    file.parent.mkdir(parents=True)
    file.write_text(text.format(4))
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    return file


@pytest.mark.parametrize("counter", VERSIONS, indirect=True)
def test_the_kernels_count_is_found(counter: Path) -> None:
    assert memory.kills() == 4
    counter.unlink()
    assert memory.kills() is None


def test_clips_at_once_are_halved_down_to_the_least_or_to_what_is_foreseen(tmp_path: Path) -> None:
    assert memory.read(tmp_path) is None and halve(tmp_path) is None  # it has not trained yet
    memory.write(tmp_path, Room(48, least=2))
    assert halve(tmp_path, 48) == 24
    assert halve(tmp_path, 48) == 24  # of another rank, at the same time
    assert halve(tmp_path, foreseen=7) == 7
    assert halve(tmp_path, foreseen=600) == 3  # the forecast was wrong before
    assert halve(tmp_path) is None
    assert memory.read(tmp_path) == Room(3, 2, (48, 24, 7))
    (tmp_path / "memory.json").write_text("{")
    assert memory.read(tmp_path) is None


# A run that trains and is killed, once; by the kernel, whose count rises, or by anybody.
KILLED = """
import json, os, signal, sys, time
from pathlib import Path
folder, record, counter = map(Path, sys.argv[1:])
if not (folder / "memory.json").exists():
    room = {"clips": 8, "least": 1, "too_many": []}
    (folder / "memory.json").write_text(json.dumps(room))
    if counter.name:
        counter.write_text(counter.read_text().replace("4", "5"))
    os.kill(os.getpid(), signal.SIGKILL)
record.write_text("{}")
"""


def run(folder: Path, counter: str) -> str:
    record = folder / "record.json"
    argv = (sys.executable, "-c", KILLED, str(folder), str(record), counter)
    started = process.start(RunCommand(argv, folder, record, {}), {})
    assert started.wait(60)
    return started.finish()


@pytest.mark.slow
def test_a_run_that_the_kernel_kills_goes_on_with_half_as_many(
    counter: Path, tmp_path: Path
) -> None:
    assert run(tmp_path / "run", str(counter)) == ""
    assert memory.read(tmp_path / "run") == Room(4, 1, (8,))
    said = (tmp_path / "run" / "log.txt").read_text()
    assert said == "out of memory; it goes on with 4 clips at once\n"


@pytest.mark.slow
@pytest.mark.usefixtures("counter")
def test_a_run_that_anybody_kills_does_not(tmp_path: Path) -> None:
    assert run(tmp_path / "run", "") == "killed by SIGKILL (out of memory?)"
    assert memory.read(tmp_path / "run") == Room(8)


@pytest.mark.slow
def test_a_run_that_says_so_is_started_again_till_it_fits(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from benchmark.runs import memory
        from benchmark.runs.process import EXIT_AGAIN
        folder, record = map(Path, sys.argv[1:])
        room = memory.read(folder) or memory.Room(8)
        memory.write(folder, room)
        if room.clips > 2:
            memory.halve(folder)
            sys.exit(EXIT_AGAIN)
        record.write_text("{}")
    """)
    folder, record = tmp_path / "run", tmp_path / "run" / "record.json"
    argv = (sys.executable, "-c", script, str(folder), str(record))
    started = process.start(RunCommand(argv, folder, record, {}), {})
    assert started.wait(60) and started.finish() == ""
    assert memory.read(folder) == Room(2, 1, (8, 4))
    record.unlink()
    memory.write(folder, Room(8))
    alone = process.start(RunCommand(argv, folder, record, {}), {}, again=False)
    assert alone.wait(60) and alone.fewer(killed=False) == 4  # whoever started all of them may
    assert alone.finish().startswith(f"exit code {process.EXIT_AGAIN}")
