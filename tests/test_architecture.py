"""The house: rooms in layers whose arrows go down, one door per heavy dependency, a light start."""

import ast
import graphlib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "datamodules")
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}
LAYERS = [  # from the ground up; a room imports of ours only what stands on a line before its own
    {"datamodules.errors", "datamodules.randomness"},
    {"datamodules.shards"},
    {
        "datamodules.dataset_info",
        "datamodules.transforms",
        "datamodules.files",
        "datamodules.progress_bar",
    },
    {
        "datamodules.datasets",
        "datamodules.decoding",
        "datamodules.identity",
        "datamodules.sanity",
    },
    {"datamodules.loading", "datamodules.preparation"},
    {"datamodules.sharing"},
    {"datamodules.datamodule", "datamodules.speed"},
    {"benchmark.errors"},
    {"benchmark.lookup", "benchmark.terminal"},
    {"benchmark.models"},
    {"benchmark.methods"},
    {"benchmark.official"},
    {"benchmark.recipes"},
    {"benchmark.runs", "benchmark.results"},
    {"benchmark.leaderboard"},
    {"benchmark.cost"},
    {"benchmark.tracking", "benchmark.inference"},
    {"benchmark.training", "benchmark.sweeps"},
    {"benchmark.cli", "benchmark.one_run"},
    {"benchmark.__main__", "benchmark.run"},
]
FACES = {"benchmark", "datamodules"}  # import lazily, whatever they offer
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
PAGE = "benchmark.leaderboard.interactive."
DOORS = {  # who may import it, anywhere in the file
    "av": "datamodules.",
    "pytorchvideo": "datamodules.",
    "omegaconf": "benchmark.recipes.",
    "wandb": "benchmark.tracking.",
    "wandb_workspaces": "benchmark.tracking.",
    "ray": "benchmark.sweeps.launchers.ray",
    "submitit": "benchmark.sweeps.launchers.",
    **dict.fromkeys(("altair", "vl_convert", "itables", "jinja2"), PAGE),
    "peft": "benchmark.methods.peft.",
    "matplotlib": "benchmark.leaderboard.pictures.",
    "scipy": "benchmark.leaderboard.statistics.",
    **dict.fromkeys(("onnx", "onnxruntime"), "benchmark.inference.onnx_file"),
}
HEAVY = {
    *("torch", "torchvision", "torchmetrics", "lightning", "timm"),
    *("av", "pytorchvideo", "wandb", "sklearn"),
}
# What must start at once; in these rooms some files are not light: they build models and data.
LIGHT = (
    *("benchmark.__main__", "benchmark.run", "benchmark.cli", "benchmark.sweeps"),
    "benchmark.runs",
    *("benchmark.results", "benchmark.leaderboard", "benchmark.recipes"),
    *("benchmark.lookup", "benchmark.errors", "benchmark.terminal"),
    *("datamodules.datasets", "datamodules.dataset_info", "datamodules.errors"),
    *("datamodules.files", "datamodules.progress_bar", "datamodules.randomness"),
    "datamodules.shards",
    *("datamodules.identity", "datamodules.sanity"),
)
NOT_LIGHT = {f"benchmark.recipes.{each}" for each in ("build", "buildable")}
# Runs on a bare GPU machine, which has torch and timm but nothing to read videos or recipes with.
BARE = (
    *("benchmark.models", "benchmark.methods", "benchmark.official", "benchmark.training.optim"),
    *("benchmark.cost.counts", "benchmark.cost.saved", "benchmark.cost.plain"),
    *("benchmark.cost.speed", "benchmark.results.speed", "benchmark.cost.bare"),
)
ABSENT_THERE = {"pytorchvideo", "av", "wandb", "omegaconf", "lightning"}


def imports(tree, package, everywhere):
    """Yield the dotted names a module imports, at its top level or everywhere in it."""
    nodes = ast.walk(tree) if everywhere else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: -node.level or None] if node.level else []
            source = ".".join([*parts[: len(parts)], *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif not everywhere and isinstance(node, ast.If | ast.Try | ast.With):
            test = ast.unparse(node.test) if isinstance(node, ast.If) else ""
            guarded = "TYPE_CHECKING" in test or "__name__" in test  # of who imports it
            inner = [] if guarded else [*node.body, *getattr(node, "handlers", ())]
            yield from imports(ast.Module(inner, []), package, everywhere=False)


@cache
def parsed(module):
    return ast.parse(FILES[module].read_text())


@cache
def imported(module, everywhere=False):
    return frozenset(imports(parsed(module), module, everywhere))


@cache
def ours(module, everywhere=True):
    """Return the modules of ours that a module imports, by their own names."""
    found = set()
    for name in imported(module, everywhere):
        while name not in FILES and "." in name:
            name = name.rpartition(".")[0]
        if name in FILES and name not in FACES:
            found.add(name)
    return found


def room(module):
    """Return the room that a module stands in: a name in LAYERS."""
    return ".".join(module.split(".")[:2])


def within(module, rooms):
    return any(module == each or module.startswith(f"{each}.") for each in rooms)


def closure(module):
    """Return the outside packages that importing a module of ours imports."""
    seen, todo, outside = set(), [module], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        parents = {name.rsplit(".", i)[0] for i in range(name.count(".") + 1)}
        for each in imported(name) | (parents & FILES.keys()):
            if each in FILES:
                todo.append(each)
            elif each.split(".")[0] not in PACKAGES:
                outside.add(each.split(".")[0])
    return outside


def test_imports_are_found_wherever_they_hide():
    text = """
import wandb.sdk
from lightning import Trainer
if True:
    import av
try:
    import ray
except ImportError:
    import submitit
if TYPE_CHECKING:
    import timm
if __name__ == "__main__":
    import torch
def f():
    import torch
"""
    tree = ast.parse(text)
    assert {each.split(".")[0] for each in imports(tree, "benchmark.x", True)} == {
        *("wandb", "lightning", "av", "ray", "timm", "torch", "submitit")
    }
    at_once = {each.split(".")[0] for each in imports(tree, "benchmark.x", False)}
    assert at_once >= {"wandb", "lightning", "av", "ray"} and not at_once & {"torch", "timm"}


@pytest.mark.slow
def test_the_files_are_found():
    assert len(FILES) > 100 and {room(m) for m in FILES.keys() - FACES} == LEVELS.keys()
    assert "torch" in closure("benchmark.one_run") and "omegaconf" in closure(
        "benchmark.sweeps.plan"
    )
    assert "benchmark.sweeps.plan" in ours("benchmark.cli.runs")  # imported in a function


@pytest.mark.parametrize("module", [m for m in FILES if m not in FACES])
def test_arrows_go_down(module):
    own = room(module)
    others = {each: room(each) for each in ours(module) if room(each) != own}
    assert not [each for each, of in others.items() if LEVELS[of] >= LEVELS[own]]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_files_import_each_other_in_a_circle(package):
    own = [module for module in FILES if module.startswith(package) and module not in FACES]
    graph = {module: ours(module) - {module} for module in own}
    # a package's own __init__ offers what its files hold
    rooms = {module for module in own if FILES[module].name == "__init__.py"}
    graph |= {each: graph[each] - {m for m in graph if m.startswith(f"{each}.")} for each in rooms}
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_data_knows_nothing_of_the_benchmark():
    for module in FILES:
        if module.startswith("datamodules"):
            assert not [each for each in imported(module, True) if each.startswith("benchmark")]


@pytest.mark.parametrize("dependency", DOORS)
def test_a_heavy_dependency_has_one_door(dependency):
    users = [m for m in FILES if dependency in {n.split(".")[0] for n in imported(m, True)}]
    assert users and not [user for user in users if not f"{user}.".startswith(DOORS[dependency])]


@pytest.mark.parametrize(
    "module", [m for m in FILES if m in FACES or (within(m, LIGHT) and m not in NOT_LIGHT)]
)
def test_what_must_start_at_once_imports_nothing_heavy(module):
    assert not closure(module) & HEAVY


@pytest.mark.parametrize("module", [m for m in FILES if within(m, BARE)])
def test_models_need_neither_videos_nor_recipes(module):
    assert not closure(module) & ABSENT_THERE


@pytest.mark.parametrize("module", FILES)
def test_no_file_is_named_for_nothing(module):
    assert not set(module.split(".")[-1].split("_")) & {
        *("utils", "util", "helpers", "common", "misc", "manager", "base"),
    }


@pytest.mark.slow
def test_a_folder_on_disk_has_one_room_that_knows_its_layout():
    from benchmark.runs import folder

    names = {folder.CHECKPOINT, folder.LOG, folder.PROGRESS, folder.SUBMISSION}
    for module in FILES:
        if room(module) != "benchmark.runs":
            strings = (n.value for n in ast.walk(parsed(module)) if is_text(n))
            assert not names & set(strings), module


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_a_room_holds_no_crowd():
    """A room's names fit in one look; catalogues, whose entries are of one kind, may be longer."""
    catalogues = {"methods", "official", "datasets"}
    for storey in PACKAGES:
        for place in [ROOT / storey, *(ROOT / storey).rglob("*/")]:
            entries = [e for e in place.iterdir() if not e.name.startswith((".", "__"))]
            if place.name not in catalogues and not place.name.startswith("__"):
                assert len(entries) <= (20 if place.name in PACKAGES else 12), place
