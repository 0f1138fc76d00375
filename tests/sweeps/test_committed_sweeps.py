"""The sweeps of real videos and the ablations: names whole, nothing started, every model built."""

import itertools

import pytest
from planned import SWEEPS, planned, recipes
from tiny import HERE

from benchmark import lookup
from benchmark.cost.forecast import sweeps_page
from benchmark.cost.forecast.models import key_of
from benchmark.recipes import build, compose
from benchmark.recipes.dataset import num_classes
from benchmark.recipes.schema import Recipe
from benchmark.sweeps import sweep
from benchmark.sweeps.plan import plan

pytestmark = pytest.mark.slow

DATA = {"k400": "kinetics400", "ssv2": "ssv2", "hmdb51": "hmdb51", "ucf101": "ucf101"}
DATA |= {"diving48": "diving48"}
BACKBONES = {"b16": "vit_b16_clip", "l14": "vit_l14_clip"}
SIX = {"full", "partial", "prompt_tuning", "st_adapter", "zeroi2v", "linear_probe"}
ABLATIONS = [name for name in SWEEPS if name.startswith("ablation_")]
REAL = sweeps_page.names()
TENTHS = [name for name in SWEEPS if "tenth" in name]


def methods(name: str) -> set[str]:
    return {job.base_name.split("/")[3] for job in planned(name)}


@pytest.mark.parametrize(("data", "kind"), [*itertools.product(DATA, BACKBONES)])
def test_there_is_a_sweep_of_each_dataset_and_backbone(data: str, kind: str) -> None:
    jobs = planned(f"{data}_{kind}")
    assert {"/".join(job.name.split("/")[:3]) for job in jobs} == {
        f"fair/{DATA[data]}/{BACKBONES[kind]}"
    }
    kinds = methods(f"{data}_{kind}")
    assert kinds >= SIX and kinds & {"aim", "aim_four"}
    assert len(kinds) >= 15


@pytest.mark.parametrize("overrides", [(), ("optim.weight_decay=0.02", "workers=1"), ("seed=7",)])
def test_a_job_holds_what_its_own_name_and_overrides_load(overrides: tuple[str, ...]) -> None:
    """A plan composes one seed of a row, and tells the others from it."""
    for job in plan("ablation_aim", overrides)[:7]:
        assert job.recipe == compose.load(job.base_name, job.overrides)


@pytest.mark.parametrize("name", TENTHS)
def test_every_method_there_is_stands_in_the_tenths(name: str) -> None:
    assert {each.method["name"] for each in recipes(name)} == {*lookup.names("benchmark.methods")}
    assert {each.data["fraction"] for each in recipes(name)} == {0.1}


@pytest.mark.parametrize("name", [*REAL, *ABLATIONS])
def test_runs_of_a_sweep_differ_in_method_seed_and_shots_only(name: str) -> None:
    """What is said of them otherwise would not be said of methods."""
    shared = {
        (each.clip.frames, each.clip.sampling, each.train.epochs, each.test.crops)
        for each in recipes(name)
        if each.data["name"] != "digits_identity"
    }
    assert len(shared) == 1
    assert all(not each.name.startswith("scratch/") for each in recipes(name))
    assert all(each.tuning.trials for each in recipes(name))


@pytest.mark.parametrize("name", [*REAL, *ABLATIONS])
def test_nothing_is_started_by_a_dry_run_and_all_is_named(
    name: str, tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "plan", lambda name, overrides: planned(name))
    monkeypatch.setattr("benchmark.results.record.RESULTS", tmp_path)
    monkeypatch.setattr("datamodules.files.RUNS", tmp_path)
    assert sweep.sweep(name, dry_run=True) == 0
    assert capsys.readouterr().out.split() == [job.name for job in planned(name)]


def models() -> list[Recipe]:
    """Return a recipe of each model that these sweeps train."""
    found: dict[str, Recipe] = {}
    for name in (*REAL, *ABLATIONS):
        for each in recipes(name):
            found.setdefault(key_of(each), each)
    return list(found.values())


def test_every_run_builds() -> None:
    left_out = []
    for each in models():
        if each.method["name"] == "peft" and "dora" not in HERE:
            left_out.append(each.name)
            continue
        classes = 10 if each.data["name"].startswith("digits_") else num_classes(each.data)
        built = build.meta_model(each, classes)
        assert built.frames == each.clip.frames, each.name
        assert any(p.requires_grad for p in built.parameters()), each.name
    if left_out:
        pytest.skip("no extra `peft` here")


def test_each_variant_of_an_ablation_is_another_model_or_other_attention() -> None:
    for name in ABLATIONS:
        own = [each for each in recipes(name) if each.data["name"] == "digits_motion"]
        seeds = {each.seed for each in own}
        assert seeds == {0, 1, 2}
        assert len({key_of(each) for each in own}) == len(own) / len(seeds)


def test_every_recipe_of_a_part_has_a_whole() -> None:
    for name in compose.names("data"):
        data = compose.read(f"data/{name}")["data"]
        assert (data["name"] != name) == bool({"fraction", "shots"} & data.keys()), name
