"""The command line starts at once, without torch; a user's mistake is one line and exit code 2."""

import os
import resource
import subprocess
import sys
from dataclasses import asdict

import pytest
from made_record import made_record
from places import set_places

from benchmark.cli.parser import VERBS, main
from benchmark.recipes import compose
from benchmark.results import record
from benchmark.runs import leaving
from benchmark.sweeps import sweep
from benchmark.sweeps.jobs import Failure
from benchmark.sweeps.launchers import local
from benchmark.sweeps.plan import plan
from datamodules import files

RUN = "quick/digits_motion/vit_digits/st_adapter"
HEAVY = ("torch", "lightning", "torchvision", "timm", "av", "pytorchvideo", "wandb", "sklearn")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    set_places(monkeypatch, tmp_path)


def finish(loaded):
    return made_record(loaded.name, loaded).write()


def start(*argv, code=None):
    """Run the command line in a process of its own."""
    command = ["-c", code] if code else ["-m", "benchmark"]
    return subprocess.run(
        [sys.executable, *command, *argv], capture_output=True, text=True, timeout=60
    )


COMMANDS = [
    ["--help"],
    ["list"],
    ["list", "methods"],
    ["show", RUN, "optim.lr=1"],
    ["run", RUN],
    ["run", "quick/x/vit_digits/aim"],
    ["sweep", "quick"],
    ["sweep", "quick", "optim.lr=1", "--dry-run"],
    ["leaderboard", "."],
    ["leaderboard"],
]


@pytest.mark.slow
def test_starts_without_anything_heavy():
    for job in plan("quick"):
        finish(job.recipe)
    code = f"""
import sys
from benchmark.__main__ import main
for argv in {COMMANDS}:
    try:
        code = main(argv)
    except SystemExit as ended:
        code = ended.code
    print("ended", code, [name for name in {HEAVY} if name in sys.modules])
"""
    ended = start(code=code)
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith("ended")]
    wanted = [2 if "quick/x/vit_digits/aim" in argv else 0 for argv in COMMANDS]
    assert lines == [f"ended {code} []" for code in wanted]
    assert "nothing to do: all 8 runs of quick" in ended.stdout


def processor_time():
    """Return the seconds that children of this process have computed, those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_list_takes_well_under_a_second():
    spent = []
    for _ in range(3):  # the best of three: this machine may be busy
        begin = processor_time()
        assert start("list").returncode == 0
        spent.append(processor_time() - begin)
    assert min(spent) < 1


@pytest.mark.parametrize(
    ("argv", "wrong", "right"),
    [
        (["swep", "quick"], "no verb 'swep'", "did you mean 'sweep'"),
        (["sweep", "quik"], "no sweep 'quik'", "did you mean 'quick'"),
        (["sweep", "quick", "optim.lrr=1"], "'optim.lrr'", "did you mean 'optim.lr'"),
        (["sweep", "quick", "--fast"], "'--fast'", "sweep --help"),
        (["sweep"], "NAME", "sweep --help"),
        (["show", RUN[:-1]], "no method 'st_adapte'", "did you mean 'st_adapter'"),
        (["show", RUN, "lr=1"], "unknown key 'lr'", "did you mean 'optim.lr'"),
        (["run", RUN, "optim.lr"], "'optim.lr' is no override", "key=value"),
        (["run", RUN, "train.epochs=x"], "train.epochs is 'x'", "not int"),
        (["leaderboard", "nowhere"], "no folder nowhere", ""),
        (["leaderboard", ".", "x=1"], "'x=1'", "leaderboard --help"),
        (["list", "method"], "no 'method' to list", "did you mean 'methods'"),
        (["list", "--count"], "--count", "list methods --count"),
        (["--nonsense"], "VERB", "--help"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argv, wrong, right, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("error: ")
    assert wrong in err and right in err


@pytest.mark.slow
def test_a_mistake_ends_the_process_with_2_and_without_a_traceback():
    ended = start("show", "quick/digits_motion/vit_digits/aimm")
    assert ended.returncode == 2 and ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1 and "'aim'" in ended.stderr


@pytest.mark.slow
def test_every_verb_has_help_with_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    whole = capsys.readouterr().out
    for name, verb in VERBS.items():
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert f"benchmark {name}" in said.split("Example:")[1]
        assert verb.action.__doc__.splitlines()[0] in said and name in whole


@pytest.mark.slow
def test_the_example_of_every_verb_is_understood(capsys):
    from benchmark.cli.parser import parse

    for verb in VERBS.values():
        lines = verb.action.__doc__.splitlines()
        examples = [line.split()[1:] for line in lines if line.strip().startswith("benchmark ")]
        assert examples and all(parse(each).action is verb.action for each in examples)


def test_no_verb_shows_the_help(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.startswith("usage: benchmark ")


def test_the_script_that_is_installed_is_this_command_line(monkeypatch, capsys):
    import tomllib
    from importlib.metadata import EntryPoint

    project = tomllib.loads((files.ROOT / "pyproject.toml").read_text())["project"]
    (script,) = project["scripts"].items()
    run = EntryPoint(*script, "console_scripts").load()
    monkeypatch.setattr(leaving, "_status", None)  # or pytest would leave with what is set there
    monkeypatch.setattr(sys, "argv", ["benchmark", "show", "aimm"])
    with pytest.raises(SystemExit, match="2"):
        run()
    assert script[0] == "benchmark" and "aimm" in capsys.readouterr().err


def test_list_names_every_recipe_and_says_what_it_is(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for folder in ("protocols", "data", "backbones", "methods", "sweeps"):
        names = compose.names(folder)
        begin = lines.index(folder) + 1
        listed = [line.split(maxsplit=1) for line in lines[begin : begin + len(names)]]
        assert [name for name, *_ in listed] == names
        silent = [name for name, *about in listed if not about]
        assert not silent, f"begin recipes/{folder}/{silent[0]}.yaml with a comment: what is it?"


def test_show_prints_what_load_resolves(capsys):
    import yaml

    assert main(["show", RUN, "optim.lr=1e-5", "seed=3"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown == asdict(compose.load(RUN, ["optim.lr=1e-5", "seed=3"]))


def test_a_run_with_a_record_is_not_run_again(capsys, monkeypatch):
    monkeypatch.setattr(local, "run", lambda jobs: pytest.fail("something was run"))
    file = finish(compose.load(RUN, ["seed=2"]))
    assert main(["run", RUN, "seed=2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("nothing to do") and file.name in out


@pytest.mark.slow
@pytest.mark.parametrize("argv", [["--again", "optim.lr=1"], ["optim.lr=1", "--again"]])
def test_a_run_made_again_starts_afresh(argv, capsys, monkeypatch):
    started = []
    loaded = compose.load(RUN, ["optim.lr=1"])
    finish(loaded)
    checkpoint = files.RUNS / loaded.name / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()

    def run(jobs):
        started.extend(jobs)
        assert not checkpoint.exists() and not record.path(loaded.name).exists()
        finish(loaded)
        return []

    monkeypatch.setattr(local, "run", run)
    monkeypatch.setattr(sweep, "prepare", lambda jobs: None)
    assert main(["run", RUN, *argv]) == 0
    (job,) = started
    assert (job.base_name, job.overrides) == (f"{RUN}/seed0", ("optim.lr=1",))
    assert job.name == loaded.name
    out = capsys.readouterr().out
    assert "st_adapter,optim.lr=1.0" in out and f"checkpoint: {checkpoint}" in out


def test_a_run_that_fails_says_why_and_where_to_look(capsys, monkeypatch):
    monkeypatch.setattr(local, "run", lambda jobs: [Failure(jobs[0], "the loss is nan")])
    monkeypatch.setattr(sweep, "prepare", lambda jobs: None)
    assert main(["run", RUN]) == 1
    err = capsys.readouterr().err
    assert "the loss is nan" in err and "log.txt" in err and len(err.splitlines()) == 1


def test_a_folder_of_records_is_shown_as_a_table(capsys):
    finish(compose.load(RUN, ["optim.lr=1"]))
    assert main(["leaderboard", str(record.RESULTS / "scratch")]) == 0
    assert "with optim.lr=1.0\n" in capsys.readouterr().out
    assert not (record.RESULTS / "README.md").exists()


@pytest.mark.slow
def test_the_board_is_written_where_results_are(capsys):
    finish(compose.load(RUN))
    assert main(["leaderboard"]) == 0
    assert "quick/README.md" in (record.RESULTS / "README.md").read_text()
    assert "`st_adapter`" in (record.RESULTS / "quick" / "README.md").read_text()
    assert (record.RESULTS / "quick" / "accuracy.svg").exists()


def test_an_interrupt_is_told_in_one_line(capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "plan", interrupted)
    assert main(["sweep", "quick"]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m benchmark list | true"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, env=os.environ)
    assert ended.stderr == ""
