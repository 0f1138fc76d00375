"""Each heavy dependency has one door, and what must start at once imports nothing heavy."""

import ast
from pathlib import Path

import pytest

from benchmark.lookup import names

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "datamodules")
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}
DOORS = {  # who may import it, anywhere in the file
    "pytorchvideo": ("datamodules._", "datamodules.decoding"),
    "av": ("datamodules.",),
    "wandb": ("benchmark.wandb_run", "benchmark.dashboard"),  # runs; tables and charts
    "wandb_workspaces": ("benchmark.dashboard",),
    "omegaconf": ("benchmark.recipe", "benchmark.schema"),
    "ray": ("benchmark.on_ray",),
    "submitit": ("benchmark.on_slurm", "benchmark.slurm_task"),
    "matplotlib": ("benchmark.picture",),
}
HEAVY = {
    "torch",
    "torchvision",
    "torchmetrics",
    "lightning",
    "timm",
    "av",
    "pytorchvideo",
    "wandb",
    "sklearn",
}
LIGHT = [
    "errors",
    "lookup",
    "recipe",
    "schema",
    "verbs",
    "whole",
    "record",
    "progress",
    "display",
    "launch",
    "process",
    "on_local",
    "on_ray",
    "on_slurm",
    "slurm_queue",
    "status",
    "sweep",
    "statistics",
]
LIGHT = [
    "benchmark",
    *(f"benchmark.{each}" for each in [*LIGHT, "leaderboard", "picture", "__main__"]),
]
# Runs on a bare GPU machine, which has torch and timm but nothing to read videos or recipes with.
BARE = ["model", "backbone", "checkpoint", "cost", "optim"]


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
            guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            inner = [] if guarded else [*node.body, *getattr(node, "handlers", ())]
            yield from imports(ast.Module(inner, []), package, everywhere=False)


def imported(module, everywhere=False):
    return set(imports(ast.parse(FILES[module].read_text()), module, everywhere))


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
def f():
    import torch
"""
    tree = ast.parse(text)
    assert {each.split(".")[0] for each in imports(tree, "benchmark.x", True)} == {
        *("wandb", "lightning", "av", "ray", "timm", "torch", "submitit")
    }
    at_once = {each.split(".")[0] for each in imports(tree, "benchmark.x", False)}
    assert at_once >= {"wandb", "lightning", "av", "ray"} and not at_once & {"torch", "timm"}


def test_the_files_are_found():
    assert len(FILES) > 20 and set(LIGHT) <= FILES.keys()
    assert "torch" in closure("benchmark.run") and "omegaconf" in closure("benchmark.sweep")


@pytest.mark.parametrize("dependency", DOORS)
def test_a_heavy_dependency_has_one_door(dependency):
    users = [m for m in FILES if dependency in {n.split(".")[0] for n in imported(m, True)}]
    assert not [user for user in users if not user.startswith(DOORS[dependency])]


@pytest.mark.parametrize("module", LIGHT)
def test_what_must_start_at_once_imports_nothing_heavy(module):
    assert not closure(module) & HEAVY


@pytest.mark.parametrize(
    "module",
    [f"datamodules.{name}" for name in names("datamodules")],
)
def test_data_sets_import_nothing_heavy(module):
    assert not closure(module) & HEAVY


@pytest.mark.parametrize(
    "module",
    [f"benchmark.{each}" for each in BARE]
    + [m for m in FILES if m.startswith("benchmark.methods")],
)
def test_models_need_neither_videos_nor_recipes(module):
    assert not closure(module) & {"pytorchvideo", "av", "wandb", "omegaconf"}


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("datamodules")])
def test_data_knows_nothing_of_models(module):
    ours = {each for each in imported(module, True) if each.startswith("benchmark")}
    known = ("errors", "record", "progress", "whole")
    allowed = tuple(f"benchmark.{each}" for each in known)
    assert not [each for each in ours if each != "benchmark" and not each.startswith(allowed)]


@pytest.mark.parametrize("module", FILES)
def test_no_file_is_named_for_nothing(module):
    assert not set(module.split(".")[-1].split("_")) & {
        "utils",
        "util",
        "helpers",
        "common",
        "misc",
        "manager",
    }
