"""Every command of every page is run, or is told here not to be, and why: by verb, not by command.

What is not run is parsed, and what it names is loaded, as `test_readme` does with every command.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import PAGES, PLACEHOLDER, PROGRAMS, commands, planned
from trained import a_checkpoint, a_video

from benchmark.cli.parser import VERBS, main
from benchmark.sweeps import plan, sweep
from datamodules import files
from datamodules.files import ROOT

RUN = {  # a verb, or one of its options, which comes first: what is typed behind the command
    "list": (),
    "show": (),
    "status": (),
    "sweep": ("--dry-run",),
    "stale": (),
    "compare": (),
    "verify": (),
    "leaderboard --all": (),
    "leaderboard --as": (),
    "freeze --check": (),
    "profile": ("--classes", "8"),  # without, the embedded videos are written to count them
    "forecast": (),
    "convert --help": (),
    "predict": ("trainer.accelerator=cpu",),
    "explain": ("trainer.accelerator=cpu",),
}
NOT_RUN = {  # why not, and the test that runs the verb on less
    "run": ("trains", "tests/test_own_videos.py"),
    "torchrun": ("trains, on several machines", "tests/training/test_devices.py"),
    "make": ("installs first; make -n says what it would do", "tests/test_installation.py"),
    "pip": ("installs", "tests/test_installation.py"),
    "source": ("is the shell's", None),
    "pytest": ("tests", "tests/methods/test_adding_a_method.py"),
    "tune": ("even dry it loads a recipe per trial and method", "tests/sweeps/test_tune.py"),
    "test": ("needs a dataset", "tests/training/test_train.py"),
    "examine": ("needs a dataset", "tests/training/test_examination.py"),
    "audit": ("needs a dataset", "tests/test_own_videos.py"),
    "prepare": ("needs a dataset", "tests/test_own_videos.py"),
    "export": ("traces a model, for seconds", "tests/inference/test_export.py"),
    "contract": ("needs a method of one's own", "tests/test_external.py"),
    "merge": ("needs a run that merges", "tests/models/test_weights_files.py"),
    "convert": ("needs the authors' file", "tests/models/test_weights_files.py"),
    "pretrain": ("takes minutes", "tests/models/test_weights_files.py"),
    "bench": ("takes minutes", "tests/cost/test_bench.py"),
    "bench-data": ("takes minutes", "tests/datamodules/speed/test_speed.py"),
    "bench-board": ("takes minutes", "tests/cost/test_board_speed.py"),
    "dashboard": ("needs wandb", "tests/tracking/test_wandb_dashboard.py"),
    "wandb-sync": ("needs wandb", "tests/tracking/test_wandb_callback.py"),
    "list --count": ("counts anew, and writes recipes/", "tests/cost/test_method_page.py"),
    "leaderboard": ("writes results/", "tests/cli/test_parser.py"),
    "forecast --save": ("counts anew, and writes recipes/", "tests/cost/test_sweeps_page.py"),
    "leaderboard --published": (
        "counts anew, writes results/",
        "tests/cost/test_published_page.py",
    ),
    "freeze": ("makes a release", "tests/leaderboard/test_release.py"),
}
LINES = sorted({line.partition("#")[0].strip() for p in PAGES for line in commands(p.read_text())})
TRAINED = "st_adapter.safetensors"
HAD = {"FILE": TRAINED, "VIDEO": "new.mp4", "FOLDER": "videos"}  # what a reader has


def words_of(line: str) -> list[str]:
    """Return the words of a command, from its verb on; of other programs all."""
    words = shlex.split(line, comments=True)
    return words[1:] if words[0] == "benchmark" else words


def classes(line: str) -> set[str]:
    """Return the rows of RUN and NOT_RUN that a command falls under: one, if all is well."""
    verb, *more = words_of(line)
    rows = {f"{verb} {each}" for each in more} & (RUN.keys() | NOT_RUN.keys())
    return rows or {verb} & (RUN.keys() | NOT_RUN.keys())


def is_run(line: str) -> bool:
    """Return whether this file runs a command: one whose words in capitals it can stand in for."""
    verb, *more = words_of(line)
    if classes(line) <= RUN.keys():
        named = set(more) - (HAD.keys() if verb in ("predict", "explain") else set())
        return not any(map(PLACEHOLDER.search, named))
    return False


@pytest.fixture(scope="module")
def had(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained model and some videos."""
    folder = tmp_path_factory.mktemp("had")
    a_checkpoint(folder)
    a_video(folder / "videos" / "one.mp4", 8)
    (folder / "new.mp4").symlink_to(folder / "videos" / "one.mp4")
    return folder


@pytest.fixture
def place(had: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to stand in: with the committed records, a trained model and some videos."""
    for each in (ROOT / "results", *(had / name for name in HAD.values())):
        (tmp_path / each.name).symlink_to(each)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "RUNS", tmp_path / "runs")
    for module in (plan, sweep):
        monkeypatch.setattr(module, "plan", lambda name, more=(): planned(name, tuple(more)))
    return tmp_path


def complaint(line: str, place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command in a folder of its own; return what is wrong, nothing if it does its work."""
    (row,) = classes(line)
    words = [*words_of(line), *RUN[row]]
    words = [HAD.get(each, each).replace("~/", f"{place}/") for each in words]
    words = [TRAINED if each.endswith("last.ckpt") else each for each in words]
    before = dict(committed())
    try:
        code = main(words)
    except SystemExit as ended:  # --help
        code = ended.code  # type: ignore[assignment]
    out, err = capsys.readouterr()
    if written := [str(file) for file, state in committed() if before.get(file) != state]:
        return f"{line}: writes {', '.join(written)}"
    return "" if code == 0 and out else f"{line}: {code}: {err or 'says nothing'}"


def committed() -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield the committed files of results/ and recipes/, and what tells if they were written."""
    for folder in (ROOT / "results", ROOT / "recipes"):
        for file in folder.rglob("*"):
            if file.relative_to(folder).parts[0] not in ("scratch", "quick"):
                about = file.stat()
                yield file, (about.st_mtime_ns, about.st_size)


def test_every_command_falls_in_one_class_and_every_verb_has_one() -> None:
    assert {line: rows for line in LINES if len(rows := classes(line)) != 1} == {}
    assert not RUN.keys() & NOT_RUN.keys()
    verbs = {row.split()[0] for row in RUN.keys() | NOT_RUN.keys()}
    assert verbs == VERBS.keys() | set(PROGRAMS) - {"benchmark"}
    assert sum(map(is_run, LINES)) >= 20


@pytest.mark.parametrize(("row", "file"), [(row, f) for row, (_, f) in NOT_RUN.items() if f])
def test_what_is_not_run_here_is_run_by_the_test_that_is_named(row: str, file: str) -> None:
    text = (ROOT / file).read_text()
    assert all(word in text for word in re.split("[ -]+", row))


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if is_run(line)])
def test_a_command_does_its_work(
    line: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(line, place, capsys) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "benchmark compare fair/digits_motion/vit_digits/aim digits/x/vit_digits/full",
            "2: error: ",
        ),
        ("benchmark verify results/digit", "2: error: "),
        ("benchmark leaderboard results/digit --all", "no folder results/digit"),
        ("benchmark forecast quick --gpu h1000", "2: error: "),
        ("benchmark predict FILE nowhere.mp4", "nowhere.mp4"),
        ("benchmark show quick/digits_motion/vit_digits/aimm", "'aim'"),
        ("benchmark list metods", "methods"),
    ],
)
def test_a_command_that_does_not_is_noticed(
    line: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_run(line) and said in complaint(line, place, capsys)


def test_a_command_that_writes_what_is_committed_is_noticed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "recipes").mkdir()
    (place / "results").unlink()
    (place / "results").mkdir()
    monkeypatch.setattr("test_commands.ROOT", place)
    monkeypatch.setattr("test_commands.main", lambda _: print((place / "results/x").write_text("")))
    said = complaint("benchmark list", place, capsys)
    assert said == f"benchmark list: writes {place / 'results/x'}"


@pytest.mark.parametrize(
    "line", ["benchmark swep quick", "bnchmark list", "benchmark leaderboard --all --published"]
)
def test_a_command_of_no_class_or_of_two_is_noticed(line: str) -> None:
    assert len(classes(line)) != 1
