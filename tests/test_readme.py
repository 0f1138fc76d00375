"""What the READMEs say can be done: every command, path, key and piece of Python in them is true.

`complaints` reads one page and says what is wrong in it. Words such as NAME or FILE stand for what
a reader would put there: a command with one is only parsed, a path is followed up to it.
"""

import ast
import builtins
import itertools
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import pytest
import test_architecture
from commands import FENCE, PAGES, PLACEHOLDER, Said, about_commands, commands, inline, is_commands

from benchmark.errors import UserError
from benchmark.recipes import compose
from benchmark.recipes.method_list import listed
from benchmark.recipes.schema import FREE, KEYS, SECTIONS
from datamodules.files import ROOT

SUFFIXES = ("py", "yaml", "md", "json", "svg", "sh", "toml", "txt", "safetensors")
PATH = re.compile(rf"[\w.,={{}}<>*-]*(/[\w.,=~{{}}<>*-]*)+|[\w-]+\.({'|'.join(SUFFIXES)})")
KEY = re.compile(r"(\w+(\.\w+)+)(=\S+)?")
EXTRAS = {"onnxruntime"}  # nothing is said of what is not installed
MADE = ("runs/", "results/scratch", "results/quick", ".venv/", "protocol/")  # or told by its parts


def complaints(text: str, folder: Path) -> list[str]:
    """Return what is wrong in a page that lies in `folder`."""
    fences, words = FENCE.findall(text), inline(text)
    targets = re.findall(r"\]\(([^)#]+)\)", FENCE.sub("", text))
    return [
        *itertools.chain.from_iterable(map(about_python, pythons(fences))),
        *about_commands(commands(text)),
        *about_paths([*words, *paths_in(fences)], folder, written=new_files(fences)),
        *about_keys(words),
        *(
            f"link to {target}"
            for target in targets
            if "://" not in target and not (folder / target).exists()
        ),
    ]


def pythons(fences: list[tuple[str, str]]) -> Iterator[str]:
    yield from (block for language, block in fences if language == "python")


def paths_in(fences: list[tuple[str, str]]) -> Iterator[str]:
    """Yield what looks like a path in blocks that are no code and no commands: trees, lists."""
    for language, block in fences:
        if language not in ("python", "yaml") and not is_commands(block):
            yield from (word.strip("(),;:") for word in block.split())


def new_files(fences: list[tuple[str, str]]) -> set[str]:
    """Return the stems of files that a block of Python says the reader is to write."""
    firsts = (re.match(r"# (\S+)\.py\n", block) for block in pythons(fences))
    return {first[1].rpartition("/")[2] for first in firsts if first}


def about_python(block: str) -> Said:
    try:
        tree = ast.parse(block)
    except SyntaxError as error:
        yield f"Python: {error}"
        return
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    absent = alias.name in EXTRAS and find_spec(alias.name) is None
                    module = Mock() if absent else import_module(alias.name)
                    known[alias.asname or alias.name] = module
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    found = getattr(import_module(module), alias.name, None)
                    known[alias.asname or alias.name] = found
                    if found is None:
                        yield f"Python: {module} has no {alias.name}"
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not is_read(n)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if is_read(node):
                if name not in {*known, *bound, *dir(builtins)}:
                    yield f"Python: {name} is not imported"
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in known:
                if not hasattr(known[name], attribute):
                    yield f"Python: {name} has no {attribute}"


def is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def about_paths(words: list[str], folder: Path, *, written: set[str]) -> Said:
    for word in words:
        if not PATH.fullmatch(word) or word.startswith(MADE) or "=" in word.split("/")[0]:
            continue
        if word.split("/")[0] in compose.names("protocols"):
            try:
                compose.load(word)
            except UserError as error:
                yield f"{word}: {error}"
            continue
        sure = PLACEHOLDER.split(word)[0] if PLACEHOLDER.search(word) else word
        if sure != word or Path(word).stem in written:
            sure = sure.rpartition("/")[0]
        if not any((each / sure).exists() for each in (folder, ROOT)):
            yield f"no path {word}"


def about_keys(words: list[str]) -> Said:
    """Complain of dotted names: keys that no recipe has, and names of ours that are not there."""
    sections = {key.split(".")[0] for key in SECTIONS | FREE}
    for word in words:
        name = word.partition("(")[0]
        if name.split(".")[0] in test_architecture.PACKAGES and re.fullmatch(r"[\w.]+", name):
            module, _, attribute = name.rpartition(".")
            if module and not hasattr(import_module(module), attribute):
                yield f"{module} has no {attribute}"
            continue
        match = KEY.fullmatch(word)
        if not match or match[1].split(".")[0] not in sections or match[1].endswith(".conf"):
            continue
        section = match[1].rpartition(".")[0]
        if match[1] not in KEYS | SECTIONS | FREE and section not in FREE:
            yield f"no key {match[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_is_true(page: Path) -> None:
    assert complaints(page.read_text(), page.parent) == []


def test_the_pages_are_found_and_hold_something() -> None:
    text = (ROOT / "README.md").read_text()
    fences = FENCE.findall(text)
    assert len(PAGES) >= 7 and ROOT / "benchmark" / "methods" / "README.md" in PAGES
    assert len(commands(text)) > 20 and len(list(pythons(fences))) >= 3


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("`benchmark/nowhere.py`", "no path benchmark/nowhere.py"),
        ("`nowhere.py`", "no path nowhere.py"),
        ("`benchmark/nowhere/NAME.py`", "no path benchmark/nowhere/NAME.py"),
        ("[a map](benchmark/NOWHERE.md)", "link to benchmark/NOWHERE.md"),
        ("```\nnowhere/  is where\n```", "no path nowhere/"),
        ("`quick/digits_motion/vit_digits/aimm`", "did you mean 'aim'"),
        ("`benchmark swep quick`", "no verb 'swep'"),
        ("`python -m benchmark list`", "are written as `benchmark VERB`"),
        ("```\nbenchmark sweep quik\n```", "no sweep 'quik'"),
        ("```\nRUNS=x benchmark sweep quik\n```", "no sweep 'quik'"),
        ("```\nmake sweep\nbnchmark list\n```", "bnchmark list: commands are written"),
        ("```\npip install -e '.[page,pages]'\n```", "no extra pages"),
        ("`pytest tests/test_raedme.py`", "no path tests/test_raedme.py"),
        ("```bash\nbenchmark audit ucf data.root=x\n```", "no data 'ucf'"),
        (
            "```\nbenchmark show quick/digits_motion/vit_digits/aim optim.lrr=1\n```",
            "unknown key 'optim.lrr'",
        ),
        (
            "```\ntorchrun \\\n  -m benchmark.run quick/digits_motion/vit_digits/aim seeds=1\n```",
            "unknown key 'seeds'",
        ),
        ("`make swep`", "make swep: no such target"),
        ("`make sweep SWEP=quick`", "make knows no SWEP"),
        ("`make sweep SWEEP=quik`", "no sweep 'quik'"),
        ("`optim.lrr`", "no key optim.lrr"),
        ("`train.holdot=0.1`", "no key train.holdot"),
        ("`benchmark.load_runs`", "benchmark has no load_runs"),
        (
            "```python\nfrom benchmark.models import VideoVit\n```",
            "benchmark.models has no VideoVit",
        ),
        ("```python\nimport benchmark\n\nbenchmark.adopt\n```", "benchmark has no adopt"),
        ("```python\ndef f(model: VideoViT): ...\n```", "VideoViT is not imported"),
        ("```python\nimport =\n```", "Python: invalid syntax"),
    ],
)
def test_what_is_not_true_is_noticed(page: str, said: str) -> None:
    found = complaints(f"{page}\n", ROOT)
    assert len(found) == 1 and said in found[0]


@pytest.mark.slow
def test_what_is_true_is_let_pass() -> None:
    page = """
`optim.lr`, `data.root`, `slurm.conf`, `data.root=/data/x`, `benchmark.adapt(vit, ...)`
`runs/x/last.ckpt`, `cli/parser.py`, `benchmark/methods/NAME.py`, `st_adapter,width=128`
```
benchmark test FILE  # parsed only
make sweep SWEEP=quick ON=ray
```
"""
    assert complaints(page, ROOT / "benchmark") == []


def test_every_paper_has_its_notes() -> None:
    notes = (ROOT / "benchmark" / "methods").glob("*_methods.md")
    text = " ".join(" ".join(page.read_text().split()) for page in notes)
    papers = {each.paper for each in listed() if each.paper}
    assert len(papers) > 25 and not [paper for paper in papers if paper not in text]


def test_the_method_that_the_readme_adds_is_one_and_is_not_there() -> None:
    import timm

    from benchmark.models import VideoViT

    page = (ROOT / "README.md").read_text()
    written = re.findall(r"^```(?:python|yaml)\n# (\S+)\n", page, re.MULTILINE)
    assert len(written) == 2 and not any((ROOT / each).exists() for each in written)
    blocks = list(pythons(FENCE.findall(page)))
    (block,) = (each for each in blocks if each.startswith("# benchmark/methods/"))
    made: dict[str, Callable[[VideoViT], None]] = {}
    exec(block, made)
    vit = timm.create_model("test_vit", img_size=32, num_classes=0)
    model = VideoViT(vit, 4, 5)
    made["attention_tuning"](model)
    trained = {name for name, p in vit.named_parameters() if p.requires_grad}
    assert trained and trained == {n for n, _ in vit.named_parameters() if ".attn." in n}


def test_the_map_shows_every_room_and_its_layer() -> None:
    page = (ROOT / "benchmark" / "README.md").read_text()
    tree, picture = (block for _, block in FENCE.findall(page))
    shown = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    rooms = {each.parent.name for each in (ROOT / "benchmark").glob("*/__init__.py")}
    assert rooms <= shown
    drawn: list[str] = []  # from the ground up
    below = True
    levels = test_architecture.LEVELS
    for line in reversed(picture.splitlines()):
        if line.startswith("─"):
            below = False
            continue
        names = re.sub(r"\(.*\)", "", line).split()
        package = "datamodules" if below else "benchmark"
        (here,) = {levels[f"{package}.{name}"] for name in names}
        assert not drawn or here > levels[drawn[-1]]
        drawn += [f"{package}.{name}" for name in names]
    folders = {
        f"{package}.{each.parent.name}"
        for package in test_architecture.PACKAGES
        for each in (ROOT / package).glob("*/__init__.py")
    }
    assert folders <= set(drawn)
