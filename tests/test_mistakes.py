"""Inputs and answers: whatever is typed or lies about, one line on stderr says what is wrong."""

import errno
import json
import os
import shutil
import sys
from dataclasses import asdict

import pytest
import torch
from made_record import made_record
from places import set_places

from benchmark.cli.parser import main
from benchmark.leaderboard import board
from benchmark.models import checkpoint
from benchmark.recipes import build, compose
from datamodules import files

RUN = "quick/digits_motion/vit_digits/zeroi2v"
BROKEN = "is broken, cut off for instance, or another kind of file"
AFRESH = "starts afresh with --again, or where the file is deleted"

# What is typed, and what the one line on stderr says; {here} is a folder of odd files.
ANSWERS = [
    # checkpoints
    ("test {here}/none.ckpt", "no checkpoint {here}/none.ckpt"),
    (f"test {'x' * 300}", "no checkpoint xxx"),
    ("test {here}/folder.ckpt", "{here}/folder.ckpt: Is a directory"),
    ("test {here}/loop.ckpt", "{here}/loop.ckpt: Too many levels of symbolic links"),
    ("test {here}/empty.ckpt", f"{{here}}/empty.ckpt: is empty; its run {AFRESH}"),
    ("test {here}/random.ckpt", f"{{here}}/random.ckpt: {BROKEN}; its run {AFRESH}"),
    ("test {here}/half.ckpt", f"{{here}}/half.ckpt: {BROKEN}; its run {AFRESH}"),
    ("merge {here}/list.ckpt -o o.safetensors", f"{{here}}/list.ckpt: {BROKEN}; its run {AFRESH}"),
    ("test {here}/objects.ckpt", "holds more than tensors and plain data (posix.getcwd)"),
    ("test {here}/random.safetensors", f"{{here}}/random.safetensors: {BROKEN}"),
    ("test {here}/half.safetensors", f"{{here}}/half.safetensors: {BROKEN}"),
    (
        "merge {here}/recipe_is_a_list.ckpt -o o.safetensors",
        "not a checkpoint of ours: its recipe is no mapp",
    ),
    ("test {here}/no_clips.ckpt", "the stored recipe: test.clips is 0, not at least 1"),
    (
        "merge {here}/no_head.ckpt -o o.safetensors",
        "no_head.ckpt: not a checkpoint of ours: it holds no head",
    ),
    ("test {here}/no_base.ckpt", "not a checkpoint of ours: its fingerprint is no text"),
    (
        "merge {here}/merged_linear.safetensors -o o.safetensors",
        "nothing merges in linear_probe's model",
    ),
    (
        "merge {here}/merged_wider.safetensors -o o.safetensors",
        "the shape of head.weight: (8, 95) and (8, 96)",
    ),
    ("test {here}/good.ckpt test.clipss=1", "unknown key 'test.clipss'; did you mean 'test.clips'"),
    ("test {here}/good.ckpt test.clips=0", "command line: test.clips is 0, not at least 1"),
    (f"test {{here}}/good.ckpt {RUN} test.clips=0", "command line: test.clips is 0"),
    (f"test {{here}}/good.ckpt test.clips=0 {RUN},scale=x", "the run's name: method.scale is 'x'"),
    (f"test {{here}}/good.ckpt {RUN} {RUN}", f"test as one run: '{RUN}' or '{RUN}'"),
    # weights
    (f"convert {{here}}/none.pth {RUN}", "{here}/none.pth: No such file or directory"),
    (f"convert {{here}}/random.ckpt {RUN}", f"{{here}}/random.ckpt: {BROKEN}"),
    (f"convert {{here}}/good.ckpt {RUN} --base {{here}}/empty.ckpt", "empty.ckpt: is empty"),
    # places that cannot be written: told before the work, whose own mistake comes after
    (
        "merge {here}/none.ckpt -o {here}/text/x.safetensors",
        "cannot make the folder {here}/text: {here}/t",
    ),
    (
        "merge {here}/none.ckpt -o /proc/x.safetensors",
        "cannot write /proc/x.safetensors: No such file or directory",
    ),
    ("merge {here}/none.ckpt -o {here}/folder.ckpt", "folder.ckpt: is no regular file"),
    (f"merge {{here}}/none.ckpt -o {'x' * 250}.safetensors", "File name too long"),
    (
        f"convert {{here}}/none.pth {RUN} -o {{here}}/loop.ckpt/x.safetensors",
        "{here}/loop.ckpt is no folder",
    ),
    ("pretrain --output {here}/text/x.safetensors", "{here}/text is no folder"),
    # recipes
    ("show quick/digits_motion/vit_digits/a_folder", "no method 'a_folder' in recipes/methods"),
    ("show quick/digits_motion/vit_digits/a_list", "recipes/methods/a_list.yaml: holds a list"),
    ("show quick/digits_motion/vit_digits/deep", "recipes/methods/deep.yaml: is nested too deeply"),
    ("show quick/digits_motion/vit_digits/binary", "recipes/methods/binary.yaml: 'utf-8' codec"),
    ("show quick/digits_motion/vit_digits/a_set", "recipes/methods/a_set.yaml: Value 'set'"),
    ("sweep odd --dry-run", "recipes/sweeps/odd.yaml: overrides holds 3, not key=value"),
    (f"show {RUN} optim.lr=\udc80", "optim.lr is '\\udc80', not float"),
    (f"show {RUN} method.scale={'9' * 5000}", "Exceeds the limit"),
    (f"profile {RUN} --classes -1", "--classes -1: not a number above 0"),
    ("forecast quick --count 99999999", "--count 99999999: not a number between 1 and 10,000,000"),
    ("forecast quick --videos -5 9", "--videos -5: not a number between 1 and 10,000,000"),
    # files of datasets and methods
    ("audit typo data.root=x", "odd/typo.py:2: "),
    ("audit raises data.root=x", "odd/raises.py:3: ZeroDivisionError: division by zero"),
    ("audit imports data.root=x", "odd/imports.py:1: ModuleNotFoundError: No module named 'nothin"),
    ("audit calls data.root=x", "odd/calls.py:2: NameError: name 'nothing' is not defined"),
    ("audit nothing data.root=x", "datamodules.datasets/nothing.py holds no function 'nothing'"),
    ("audit bytes data.root=x", "odd/bytes.py: 'utf-8' codec can't decode"),
    ("audit folder data.root=~no_such_user/x", "no folder ~no_such_user/x"),
    (f"audit folder data.root={'x' * 300}", "File name too long"),
    # folders of results
    (f"leaderboard {'x' * 300}", "no folder xxx"),
    ("leaderboard {here}/text", "no folder {here}/text"),
]


class Objects:
    """What a checkpoint must not hold: reading it would run something."""

    def __reduce__(self):
        return os.getcwd, ()


def write_checkpoints(here):
    recipe = compose.load(RUN)
    model, _ = build.model(recipe, 8)
    checkpoint.write(here / "good.safetensors", model, asdict(recipe))
    saved = checkpoint.read(here / "good.safetensors")
    state = {f"model.{name}": tensor for name, tensor in saved.parameters.items()}
    good = {"state_dict": state, "recipe": saved.recipe, "base": saved.frozen}
    odd = {
        "good": good,
        "list": [1, 2],
        "objects": {**good, "epoch": Objects()},
        "recipe_is_a_list": {**good, "recipe": [1]},
        "no_clips": {
            **good,
            "recipe": saved.recipe | {"test": saved.recipe["test"] | {"clips": 0}},
        },
        "no_head": {**good, "state_dict": {k: t for k, t in state.items() if "head" not in k}},
        "no_base": {**good, "base": 3},
    }
    for name, content in odd.items():
        torch.save(content, here / f"{name}.ckpt")
    merged = model.merge()
    linear = saved.recipe | {"method": {"name": "linear_probe"}}
    checkpoint.write(here / "merged_linear.safetensors", merged, linear, merged=True)
    merged.head.weight = torch.nn.Parameter(merged.head.weight[:, 1:])
    checkpoint.write(here / "merged_wider.safetensors", merged, saved.recipe, merged=True)
    for name in ("good.ckpt", "good.safetensors"):
        content = (here / name).read_bytes()
        (here / name.replace("good", "half")).write_bytes(content[: len(content) // 2])
        (here / name.replace("good", "random")).write_bytes(bytes(range(1, 256)) * 4)
    (here / "empty.ckpt").touch()
    (here / "folder.ckpt").mkdir()
    (here / "loop.ckpt").symlink_to("loop.ckpt")


def write_recipes(here):
    shutil.copytree(compose.RECIPES, here / "recipes")
    methods = here / "recipes" / "methods"
    (methods / "a_folder.yaml").mkdir()
    (methods / "a_list.yaml").write_text("[1]")
    (methods / "deep.yaml").write_text(f"method: {{name: aim, scale: {'[' * 400}{']' * 400}}}")
    (methods / "binary.yaml").write_bytes(b"\xff\xfe")
    (methods / "a_set.yaml").write_text("method: {name: aim, scale: !!set {a}}")
    quick = compose.read("sweeps/quick") | {"overrides": [3]}
    (here / "recipes" / "sweeps" / "odd.yaml").write_text(json.dumps(quick))


DATASETS = {
    "typo": "import os\ndef typo(:\n",
    "raises": "def raises(*, root):\n    number = 0\n    return 1 / number\n",
    "imports": "import nothing_of_this_name\ndef imports(*, root): ...\n",
    "calls": "def calls(*, root): ...\nnothing()\n",
    "nothing": "",
    "bytes": b"\xff",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Return a folder of odd files: checkpoints, recipes, datasets, a text."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "text").write_text("text")
    write_checkpoints(folder)
    write_recipes(folder)
    (folder / "odd").mkdir()
    for name, text in DATASETS.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / "odd" / f"{name}.py").write_bytes(content)
        (folder / "recipes" / "data" / f"{name}.yaml").write_text(f"data: {{name: {name}}}")
    return folder


@pytest.fixture(autouse=True)
def places(tmp_path, here, monkeypatch):
    import datamodules.datasets as datasets

    set_places(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compose, "RECIPES", here / "recipes")
    datasets.__path__.append(str(here / "odd"))
    yield
    datasets.__path__.remove(str(here / "odd"))
    for name in DATASETS:
        sys.modules.pop(f"datamodules.datasets.{name}", None)


def said(argv, capsys, code=2):
    """Return the one line that a command says on stderr."""
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert out == "" or code != 2
    assert len(err.splitlines()) == 1 and "Traceback" not in err, err
    return err.rstrip("\n")


@pytest.mark.parametrize(("typed", "answer"), ANSWERS, ids=[typed[:60] for typed, _ in ANSWERS])
def test_a_mistake_is_answered_in_one_line(typed, answer, here, capsys):
    argv = [word.replace("{here}", str(here)) for word in typed.split()]
    found = said(argv, capsys)
    assert found.startswith("error: ") and answer.replace("{here}", str(here)) in found


def test_a_name_with_a_line_break_is_answered_in_one_line(capsys):
    assert "no checkpoint a b" in said(["test", "a\nb"], capsys)


def test_a_folder_x_yaml_is_no_recipe(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "a_folder" not in out and "a_list" in out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"version": 1}', "missing"),
        ("name", "a/b' is no run's name"),
    ],
)
def test_the_board_leaves_out_a_broken_record(text, why, tmp_path, capsys):
    file = tmp_path / "results" / "quick" / "seed0.json"
    file.parent.mkdir(parents=True)
    if text == "name":
        made = asdict(made_record()) | {"name": "a/b", "version": 1}
        text = json.dumps(made)
    file.write_text(text)
    found = said(["leaderboard"], capsys, code=0)
    assert found.startswith("warning: left out: ") and why in found


def test_results_that_are_a_file_are_told(tmp_path, capsys):
    (tmp_path / "results").touch()
    assert "results is no folder" in said(["leaderboard"], capsys)
    assert "results is no folder" in said(["run", RUN], capsys)


def test_a_board_that_is_a_folder_is_told(tmp_path, capsys):
    (tmp_path / "results" / "README.md").mkdir(parents=True)
    assert "README.md: it is a folder" in said(["leaderboard"], capsys)


def test_a_full_disk_is_told(tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write():
        with files.atomic_write(tmp_path / "page"):
            pass

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(board, "write", write)
    told = said(["leaderboard"], capsys)
    assert told == f"error: cannot write {tmp_path}/page: No space left on device"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["runs", f"runs/{RUN}/seed0"])
def test_a_folder_of_runs_that_is_a_file_is_told_before_anything_starts(place, tmp_path, capsys):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    for argv in (["run", RUN], ["run", RUN, "--again"]):
        assert f"{tmp_path / place} is no folder" in said(argv, capsys)
    assert main(["status", "quick"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "lines",
    [
        '[]\n{"stage": 3, "time": "x"}',
        '{"stage": "fit", "time": 1, "step": "x"}',
        '{"stage": "fit", "step": 1, "steps": 2}',
        "[" * 10_000,
    ],
)
def test_what_is_no_progress_counts_as_none(lines, tmp_path, capsys):
    folder = tmp_path / "runs" / RUN / "seed0"
    folder.mkdir(parents=True)
    (folder / "progress.jsonl").write_text(f"{lines}\n")
    (folder / "slurm.json").write_text("[" * 100_000)
    assert main(["status", "quick"]) == 0
    assert "missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("", "name the run: python -m benchmark.run NAME"),
        ("quick/digits_motion/vit_digits/aimm", "no method 'aimm'"),
        (f"{RUN} optim.lrr=1", "unknown key 'optim.lrr'"),
    ],
)
def test_a_runs_own_process_answers_in_one_line(typed, answer, capsys):
    from benchmark.one_run import main as run

    assert run(typed.split()) == 2
    err = capsys.readouterr().err
    assert answer in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "override", ["trainer.accelerator=cud", "trainer.precision=8", "trainer.strategy=none_such"]
)
def test_a_device_that_is_not_there_is_one_line(override, capsys):
    from benchmark.errors import UserError
    from benchmark.training import train

    key, value = override.split("=")
    with pytest.raises(UserError) as raised:
        recipe = compose.load(RUN, [override])
        train._trainer(recipe, **train._trainer_arguments(recipe))
    told = str(raised.value)
    assert value in told and key.rpartition(".")[2] in told and len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "is empty"), (b"x" * 99, BROKEN), (None, "is no checkpoint of a run")],
)
def test_a_run_does_not_go_on_from_what_is_broken(content, why, tmp_path):
    file = tmp_path / "last.ckpt"
    if content is None:
        torch.save({"state_dict": {}}, file)
    else:
        file.write_bytes(content)
    from benchmark.errors import UserError

    with pytest.raises(UserError, match=rf"last\.ckpt: {why}.*{AFRESH}"):
        checkpoint.demand_resumable(file)
