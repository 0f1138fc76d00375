"""Runs share the machine, fail alone, and die with whoever started them."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.recipes.schema import Recipe, Trainer
from benchmark.results import record
from benchmark.runs import process, progress
from benchmark.sweeps.devices import gpus
from benchmark.sweeps.jobs import Job, run_argv
from benchmark.sweeps.launchers import local
from datamodules import files

pytestmark = pytest.mark.slow

# What the children below begin with: `folder` is where they work, `done()` leaves a record.
CHILD = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
folder, result = map(Path, sys.argv[1:])
def done():
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text("{}")
"""


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(process, "POLL", 0.02)
    monkeypatch.setattr(local, "cores", lambda: 2)
    monkeypatch.setattr(local, "gpus", list)


def job(name, accelerator="cpu", devices=1, nodes=1):
    trainer = Trainer(accelerator, devices, nodes, "auto", "32-true")
    return Job(f"p/d/b/{name}/seed0", (), Recipe(trainer=trainer, name=f"p/d/b/{name}/seed0"))


def child(script):
    """Return the command of a child that runs `script` after CHILD."""
    source = CHILD + textwrap.dedent(script)
    return lambda job: [sys.executable, "-c", source, str(job.folder), str(record.path(job.name))]


def said(job, name="said.json"):
    return json.loads((job.folder / name).read_text())


SPAN = """
start = time.time()
time.sleep(0.3)
(folder / "said.json").write_text(json.dumps([start, time.time()]))
done()
"""


def most_at_once(jobs):
    spans = [said(each) for each in jobs]
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


def test_as_many_run_at_once_as_there_are_cores():
    jobs = [job(f"m{i}") for i in range(5)]
    assert local.run(jobs, command=child(SPAN)) == []
    assert most_at_once(jobs) == 2


def test_a_run_on_two_devices_leaves_no_room_for_another():
    jobs = [job("a", devices=2), job("b", devices=2), job("c", devices=64)]
    assert local.run(jobs, command=child(SPAN)) == []
    assert most_at_once(jobs) == 1


def test_every_run_has_gpus_of_its_own(monkeypatch):
    monkeypatch.setattr(local, "gpus", lambda: ["3", "7"])
    jobs = [job(f"m{i}", "gpu") for i in range(4)] + [job("both", "auto", 2), job("cpu")]
    script = (
        SPAN + "(folder / 'gpus.json').write_text(json.dumps(os.environ['CUDA_VISIBLE_DEVICES']))"
    )
    assert local.run(jobs, command=child(script)) == []
    assert said(jobs[4], "gpus.json") == "3,7" and said(jobs[5], "gpus.json") == ""
    for gpu in ("3", "7"):
        mine = [each for each in jobs if gpu in said(each, "gpus.json").split(",")]
        assert len(mine) >= 2 and most_at_once(mine) == 1


@pytest.mark.parametrize(
    ("impossible", "problem"),
    [
        (job("a", "gpu", 3), "a/seed0: asks for 3 GPUs; this machine has 2"),
        (job("a", "cpu", 1, nodes=2), "num_nodes is 2, this is for one machine each; --on slurm"),
    ],
)
def test_what_this_machine_cannot_do_is_told_before_anything_runs(monkeypatch, impossible, problem):
    monkeypatch.setattr(local, "gpus", lambda: ["0", "1"])
    fine = job("fine")
    with pytest.raises(UserError, match=problem):
        local.run([fine, impossible], command=child("done()"))
    assert not fine.folder.exists()


def test_visible_gpus_are_counted_without_torch(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-ab")
    assert gpus() == ["2", "GPU-ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "print('one'); print('the last words', file=sys.stderr); sys.exit(3)",
            "exit code 3: the last words",
        ),
        ("sys.exit(1)", "exit code 1"),
        ("print('no videos in x', file=sys.stderr); sys.exit(2)", "no videos in x"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"killed by SIGKILL \(out of memory\?\)"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "killed by SIGTERM"),
        ("pass", "ended without a record"),
        ("done(); sys.exit(1)", "exit code 1"),
        (
            "line = {'time': time.time() + 1, 'stage': 'failed', 'message': 'the loss is nan'}\n"
            "(folder / 'progress.jsonl').write_text(json.dumps(line) + '\\n'); sys.exit(1)",
            "the loss is nan",
        ),
    ],
)
def test_a_run_that_fails_is_told_and_the_others_go_on(script, reason):
    jobs = [job("before"), job("bad"), job("after")]
    command = child(
        f"if 'bad' in str(folder):\n{textwrap.indent(script, '    ')}\nelse:\n    done()"
    )
    (failure,) = local.run(jobs, command=command)
    assert failure.job is jobs[1] and failure.log == jobs[1].folder / "log.txt"
    assert re.fullmatch(reason, failure.reason)
    assert record.path(jobs[0].name).exists() and record.path(jobs[2].name).exists()
    line = progress.last(jobs[1].folder)  # for `status`, and for the next sweep
    killed = "killed by" in failure.reason
    assert line["stage"] == ("killed" if killed else "failed")
    assert progress.message(line) == failure.reason


def test_a_run_that_was_asked_to_stop_has_not_failed():
    one = job("one")
    script = """
    (folder / "progress.jsonl").write_text('{"time": 9e9, "stage": "preempted"}'); sys.exit(75)
    """
    (failure,) = local.run([one], command=child(script))
    assert failure.reason == "was asked to stop, and has saved"
    assert progress.last(one.folder)["stage"] == "preempted"


def test_of_a_traceback_the_last_line_is_the_reason():
    one = job("one")
    line = {"time": 9e9, "stage": "failed", "message": "Caught in worker\n  File x\nKeyError: 3\n"}
    script = f"(folder / 'progress.jsonl').write_text({json.dumps(line)!r}); sys.exit(1)"
    (failure,) = local.run([one], command=child(script))
    assert failure.reason == "KeyError: 3"


def test_the_message_of_an_earlier_start_is_not_the_reason():
    bad = job("bad")
    progress.write(bad.folder, stage="failed", message="long ago")
    (failure,) = local.run([bad], command=child("sys.exit(1)"))
    assert failure.reason == "exit code 1"


def test_output_goes_to_the_runs_log_and_a_second_start_adds_to_it():
    one = job("one")
    for _ in range(2):
        local.run([one], command=child("print('out'); print('err', file=sys.stderr); done()"))
        record.path(one.name).unlink()
    assert sorted((one.folder / "log.txt").read_text().split()) == ["err", "err", "out", "out"]


def test_a_run_knows_its_sweep_has_one_thread_and_no_slurm(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    one = job("one")
    local.run(
        [one],
        title="quick",
        command=child("(folder / 'said.json').write_text(json.dumps(dict(os.environ))); done()"),
    )
    environment = said(one)
    assert not [key for key in environment if key.startswith("SLURM_")]
    assert environment["OMP_NUM_THREADS"] == "1" and environment["BENCHMARK_SWEEP"] == "quick"


def test_what_a_run_leaves_behind_is_ended_with_it():
    one = job("one")
    script = """
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "said.json").write_text(str(left.pid))
    done()
    """
    assert local.run([one], command=child(script)) == []
    assert wait(lambda: not alive(said(one)))


def test_a_command_names_the_run_and_its_overrides():
    recipe = Recipe(name="scratch/p/d/b/m,optim.lr=1.0/seed0")
    command = run_argv(Job("p/d/b/m/seed0", ("optim.lr=1",), recipe))
    assert command == [sys.executable, "-m", "benchmark.run", "p/d/b/m/seed0", "optim.lr=1"]


# A parent that starts two children, each with a child of its own, and what it is ended by.

PARENT = """
import sys
from pathlib import Path
from benchmark.recipes.schema import Recipe, Trainer
from benchmark.runs import process
from benchmark.sweeps.jobs import Job
from benchmark.sweeps.launchers import local
local.cores = lambda: 2
process.GRACE = float(sys.argv[2])
script = sys.argv[1]
trainer = Trainer("cpu", 1, 1, "auto", "32-true")
jobs = [Job(f"p/d/b/{i}/seed0", (), Recipe(trainer=trainer, name=f"p/d/b/{i}/seed0")) for i in "ab"]
local.run(jobs, command=lambda job: [sys.executable, "-c", script, str(job.folder)])
"""
SLEEPER = """
import os, signal, subprocess, sys, time
from pathlib import Path
{0}
code = "import time; from benchmark.runs.ancestry import die_with_parent; die_with_parent(); "
code += "print('up', flush=True); time.sleep(60)"
inner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
inner.stdout.readline()
partial = Path(sys.argv[1], "partial")
partial.write_text(f"{{os.getpid()}} {{inner.pid}}")
partial.rename(Path(sys.argv[1], "pids"))
time.sleep(60)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait(condition, seconds=30.0):
    """Return whether `condition` comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def family(tmp_path, prepare="", grace=5.0):
    """Start PARENT; return it and the process ids of its children and their children."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, SLEEPER.format(prepare), str(grace)],
        env={**os.environ, "RUNS": str(tmp_path / "runs"), "RESULTS": str(tmp_path / "results")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    files = [tmp_path / "runs" / "p/d/b" / each / "seed0" / "pids" for each in "ab"]
    assert wait(lambda: all(file.exists() for file in files)), parent.stderr.read()
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    assert len(pids) == 4 and all(map(alive, pids))
    return parent, pids


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's death"
)
def test_children_die_with_a_parent_that_is_killed(tmp_path):
    parent, pids = family(tmp_path)
    parent.kill()
    parent.communicate()
    assert wait(lambda: not any(map(alive, pids)), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_parent_ends_its_children_first(tmp_path, number):
    # A shell starts what it puts in the background deaf to SIGINT and SIGHUP, tests included.
    before = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP)}
    try:
        parent, pids = family(tmp_path)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    parent.send_signal(number)
    _, error = parent.communicate(timeout=30)
    assert "KeyboardInterrupt" in error and parent.returncode != 0
    assert wait(lambda: not any(map(alive, pids)), 5)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_the_parent_was_told_to_ignore_it_ignores(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; it is inherited
    try:
        parent, pids = family(tmp_path)
        parent.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.5)
        assert all(map(alive, pids))
    finally:
        signal.signal(signal.SIGHUP, before)
        parent.terminate()
        parent.communicate(timeout=30)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_that_will_not_end_are_made_to(tmp_path):
    parent, pids = family(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)", grace=0.3)
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    assert wait(lambda: not any(map(alive, pids)), 5)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_may_use_the_grace_to_save_their_work(tmp_path):
    save = (
        "signal.signal(signal.SIGTERM, lambda *_: (Path(sys.argv[1], 'saved').touch(), sys.exit()))"
    )
    parent, _ = family(tmp_path, save)
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    assert len(list(tmp_path.glob("runs/p/d/b/*/seed0/saved"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_that_is_asked_to_stop_still_has_its_children(tmp_path):
    save = """
def ask(*_):
    time.sleep(0.3)
    gone = inner.poll() is not None
    Path(sys.argv[1], "gone" if gone else "there").touch()
    sys.exit()
signal.signal(signal.SIGTERM, ask)
"""
    parent, pids = family(tmp_path, save)
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    assert len(list(tmp_path.glob("runs/p/d/b/*/seed0/there"))) == 2
    assert wait(lambda: not any(map(alive, pids)), 5)  # and none outlives it
