"""Every recipe resolves; whatever is wrong with one is told in one line that names it."""

import itertools
import re
import shutil
from dataclasses import asdict, replace

import pytest

from benchmark import lookup
from benchmark.errors import UserError, nearest
from benchmark.recipes import compose
from benchmark.recipes.compose import load
from benchmark.recipes.schema import FREE_WHERE, KEYS, METADATA, SECTIONS, is_execution_key

RUN = "quick/digits_motion/vit_digits/st_adapter"
PROTOCOLS = [
    each
    for each in compose.names("protocols")
    if not compose.read(f"protocols/{each}").get("complete")
]
DATA = ["digits_motion", "digits_identity"]
RUNS = {
    "/".join(axes): None  # no file but a protocol's own says what a method is on a backbone
    for axes in (
        *itertools.product(PROTOCOLS, DATA, ["vit_digits"], compose.names("methods")),
        *itertools.product(PROTOCOLS, DATA, compose.names("backbones"), ["st_adapter"]),
    )
}


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    """Return a copy of recipes/ that `load` reads instead."""
    copy = shutil.copytree(
        compose.RECIPES, tmp_path / "recipes", ignore=shutil.ignore_patterns("*.safetensors")
    )
    monkeypatch.setattr(compose, "RECIPES", copy)
    return copy


def write(kitchen, file, text):
    path = kitchen / f"{file}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def problem(name, *overrides):
    """Return what `load` complains about: one line, always."""
    with pytest.raises(UserError) as caught:
        load(name, overrides)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_there_are_recipes():
    assert len(RUNS) >= 2 * 2 * 3 * 12  # a glob that finds nothing would pass every test below


@pytest.mark.slow
@pytest.mark.parametrize("method", compose.names("methods"))
def test_every_run_resolves_under_its_own_name(method):
    for run in RUNS:
        if run.endswith(f"/{method}"):
            assert load(run).name == f"{run}/seed0"


def test_a_seed_that_follows_from_another_is_checked_as_well():
    one = compose.once_per_row()
    assert one(f"{RUN}/seed0") == load(f"{RUN}/seed0")
    assert one(f"{RUN}/seed{2**32 - 1}") == load(f"{RUN}/seed{2**32 - 1}")
    with pytest.raises(UserError) as told:
        one(f"{RUN}/seed{2**32}")
    assert str(told.value) == problem(f"{RUN}/seed{2**32}")


def test_every_method_and_every_data_set_has_a_recipe():
    for axis, package in (("methods", "benchmark.methods"), ("data", "datamodules.datasets")):
        section = {"methods": "method", "data": "data"}[axis]
        used = {compose.read(f"{axis}/{each}")[section]["name"] for each in compose.names(axis)}
        assert used == set(lookup.names(package)) != set()


@pytest.mark.slow
@pytest.mark.parametrize("method", compose.names("methods"))
def test_anyones_own_videos_have_a_protocol_that_few_videos_suffice_for(method):
    recipe = compose.load(f"own/folder/vit_b16_clip/{method}", ["data.root=/videos"])
    assert recipe.clip.size == 224 and recipe.train.batch <= 4 and not recipe.cache
    assert recipe.name == f"own/folder/vit_b16_clip/{method}/seed0"  # no scratch run: on the board


LAYERS = [
    "base",
    "backbones/vit_digits",
    "data/digits_motion",
    "methods/st_adapter",
    "protocols/quick",
    "protocols/quick/digits_motion/all",
    "protocols/quick/st_adapter",
    "protocols/quick/digits_motion/vit_digits/st_adapter",
]


@pytest.mark.slow
@pytest.mark.parametrize("last", range(len(LAYERS)))
def test_of_two_files_the_later_one_wins(kitchen, last):
    for file in (LAYERS[5], LAYERS[7]):
        write(kitchen, file, "{}")
    for number, file in enumerate(LAYERS):  # the width must be set by the layers up to `last` only
        kept = {key: value for key, value in compose.read(file).items() if key != "method"}
        method = dict(compose.read(file).get("method", {}))
        method.pop("width", None)
        if number <= last:
            method["width"] = 100 + number
        write(kitchen, file, compose.OmegaConf.to_yaml({**kept, "method": method}))
    assert load(RUN).method["width"] == 100 + last
    assert load(RUN, ["method.width=7"]).method["width"] == 7


@pytest.mark.slow
def test_a_part_of_a_dataset_has_what_all_methods_share_on_the_whole(kitchen):
    part, whole = "fair/kinetics400_tenth/all", "fair/kinetics400/all"
    write(kitchen, f"protocols/{whole}", "{train: {epochs: 7}, test: {clips: 5}}")
    write(kitchen, f"protocols/{part}", "test: {clips: 4}")
    tenth, name = load("fair/kinetics400_tenth/vit_b16_clip/aim"), "kinetics400_16shot"
    assert (tenth.train.epochs, tenth.test.clips) == (7, 4)
    assert load(f"fair/{name}/vit_b16_clip/aim").test.clips == 5
    assert load("fair/kinetics400/vit_b16_clip/aim").test.clips == 5
    # what was chosen on the whole was not chosen on a part
    write(kitchen, "protocols/fair/kinetics400/vit_b16_clip/aim", "{tuned: {trials: 7}}")
    assert load("fair/kinetics400/vit_b16_clip/aim").tuned
    assert not load("fair/kinetics400_tenth/vit_b16_clip/aim").tuned


def test_a_complete_protocol_accepts_only_runs_with_a_file_of_their_own(kitchen):
    write(
        kitchen,
        "protocols/paper",
        "complete: true\n" + (kitchen / "protocols/quick.yaml").read_text(),
    )
    write(kitchen, "protocols/paper/digits_motion/vit_digits/aim", "optim: {lr: 0.25}")
    assert load("paper/digits_motion/vit_digits/aim").optim.lr == 0.25
    said = problem("paper/digits_motion/vit_digits/full")
    assert "'digits_motion/vit_digits/full'" in said
    assert "did you mean 'digits_motion/vit_digits/aim'" in said


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("quik/digits_motion/vit_digits/aim", "protocol 'quik'", "'quick'"),
        ("quick/digits_moton/vit_digits/aim", "data 'digits_moton'", "'digits_motion'"),
        ("quick/digits_motion/vit_digit/aim", "backbone 'vit_digit'", "'vit_digits'"),
        ("quick/digits_motion/vit_digits/stadapter", "method 'stadapter'", "'st_adapter'"),
        ("quick/digits_motion/vit_digits", "no run's name", "protocol/data/backbone/method"),
        ("quick/digits_motion/vit_digits/aim/seedling", "no run's name", "seedN"),
        ("quick/digits_motion/vit_digits/aim/seed0/x", "no run's name", "seedN"),
        ("quick/../vit_digits/aim", "data '..'", "digits_motion"),
        (f"{RUN},widht=3", "'method.widht'", "'method.width'"),
        (f"{RUN},width", "'width'", "key=value"),
        ("", "no run's name", "protocol/data/backbone/method"),
    ],
)
def test_a_wrong_name_is_told_with_the_right_one(name, wrong, right):
    said = problem(name)
    assert wrong in said and right in said


@pytest.mark.parametrize(
    ("override", "wrong", "right"),
    [
        ("optim.lrr=1", "'optim.lrr'", "'optim.lr'"),
        ("lr=1", "'lr'", "'optim.lr'"),
        ("optm.lr=1", "'optm'", "'optim'"),
        ("method.widht=3", "'method.widht'", "'method.width'"),
        ("data.trian=3", "'data.trian'", "'data.train'"),
        ("train.epochs=ten", "train.epochs is 'ten'", "int"),
        ("train.epochs=1.5", "train.epochs is 1.5", "int"),
        ("train.epochs=", "train.epochs is None", "int"),
        ("train.epochs=0", "train.epochs is 0", "at least 1"),
        ("optim.betas=[a, b]", "optim.betas is ['a', 'b']", "float"),
        ("optim.betas=[0.9]", "optim.betas is [0.9]", "two numbers"),
        ("clip.sampling=unifrm", "no clip.sampling 'unifrm'", "did you mean 'uniform'"),
        ("test.crops=2", "test.crops is 2", "1 or 3"),
        ("train.holdout=1", "train.holdout is 1.0", "below 1"),
        ("train.label_smoothing=2", "train.label_smoothing is 2.0", "below 1"),
        ("method.width=wide", "method.width is 'wide'", "int"),
        ("method.sites=attn", "method.sites is 'attn'", "Sequence[str]"),
        ("method.name=st_adaptr", "'st_adaptr'", "'st_adapter'"),
        ("train=3", "the keys of train", "train.KEY=VALUE"),
        ("name=x", "name cannot be overridden", "follows"),
        ("complete=true", "complete cannot be overridden", "follows"),
        ("optim.lr", "'optim.lr'", "key=value"),
        ("=1", "'=1'", "key=value"),
        ("optim..lr=1", "'optim..lr=1'", "key=value"),
        ("optim.lr=[1", "'optim.lr=[1'", "expected"),
        ("optim.lr=${oc.env:NOT_SET_ANYWHERE}", "optim.lr", "NOT_SET_ANYWHERE"),
    ],
)
def test_a_wrong_override_is_told_with_what_is_right(override, wrong, right):
    said = problem(RUN, override)
    assert wrong in said and right in said


def test_the_file_of_a_wrong_key_is_named(kitchen):
    write(kitchen, "methods/st_adapter", "method: {name: st_adapter}\noptim: {learningrate: 1}")
    assert problem(RUN).startswith(
        "recipes/methods/st_adapter.yaml: unknown key 'optim.learningrate'"
    )
    write(kitchen, "methods/st_adapter", "method: {name: st_adapter, widht: 1}")
    assert problem(RUN).startswith("recipes/methods/st_adapter.yaml: unknown key 'method.widht'")
    fine = (kitchen / "protocols/quick/st_adapter.yaml").read_text()
    write(kitchen, "protocols/quick/st_adapter", "test: {clips: many}")
    assert problem(RUN).startswith("recipes/protocols/quick/st_adapter.yaml: test.clips is 'many'")
    write(kitchen, "protocols/quick/st_adapter", fine)
    write(kitchen, "methods/st_adapter", "methd: {name: st_adapter}")
    assert "unknown key 'methd'; did you mean 'method'?" in problem(RUN)
    write(kitchen, "methods/st_adapter", "{}")
    assert problem(RUN).startswith("method.name is set by none")


@pytest.mark.parametrize(
    ("text", "line"),
    [("method:\n  name: [a\nb: 1\n", 3), ("a: 1\na: 2\n", 2), ("method:\n\tname: a\n", 2)],
)
def test_unreadable_yaml_is_told_with_file_and_line(kitchen, text, line):
    write(kitchen, "methods/st_adapter", text)
    assert problem(RUN).startswith(f"recipes/methods/st_adapter.yaml:{line}: ")


def test_yaml_that_is_no_mapping_is_refused(kitchen):
    write(kitchen, "methods/st_adapter", "- a\n- b\n")
    assert "recipes/methods/st_adapter.yaml: holds a list" in problem(RUN)


def test_a_value_that_no_file_sets_is_named_with_the_files(kitchen):
    text = (kitchen / "base.yaml").read_text().replace("workers: 4", "")
    write(kitchen, "base", text)
    write(
        kitchen,
        "protocols/quick",
        (kitchen / "protocols/quick.yaml").read_text().replace("workers: 0", ""),
    )
    said = problem(RUN)
    assert said.startswith("workers is set by none of recipes/base.yaml")


def test_overrides_move_a_run_to_scratch_and_its_name_says_which():
    changed = load(RUN, ["optim.lr=1e-5", "seed=2", "train.epochs=3"])
    assert changed.name == (
        "scratch/quick/digits_motion/vit_digits/st_adapter,optim.lr=1e-05,train.epochs=3/seed2"
    )
    assert load(RUN, ["train.epochs=3", "optim.lr=0.00001", "seed=2"]) == changed


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        *("trainer.accelerator=gpu", "trainer.devices=2", "trainer.num_nodes=2"),
        *("trainer.strategy=ddp", "workers=3", "wandb.enabled=false", "data.root=/somewhere"),
    ],
)
def test_where_a_run_runs_is_not_what_it_is(override):
    here, there = load(RUN), load(RUN, [override])
    assert there.name == here.name
    assert asdict(there) != asdict(here)
    assert compose.changes(asdict(here), asdict(there)) == {}


def test_a_precision_is_what_a_run_is():
    assert load(RUN, ["trainer.precision=bf16-mixed"]).name.startswith("scratch/")


def test_options_in_the_name_are_an_official_run():
    plain, wide = load(RUN), load(f"{RUN},width=128,kernel=[3,3,3]")
    assert wide.name == f"{RUN},kernel=[3,3,3],width=128/seed0"
    assert wide.method == {**plain.method, "width": 128, "kernel": [3, 3, 3]}
    assert load(f"{RUN},kernel=[3,3,3],width=128").name == wide.name


@pytest.mark.parametrize(
    "overrides",
    [
        ["optim.lr=0.1", "optim.betas=[0.8, 0.9]"],
        ["optim.head_lr=null", "method.sites=[attn,mlp]"],
        ["optim.head_lr=1e-12", "method.layers=2"],
        ["trainer.precision=16-mixed", "backbone.weights=/a b/c,d=é.pt"],
        ["backbone.weights=1:30", "optim.no_decay=['a, b]', \"it's\", 'yes', '1', \"null\"]"],
        ["backbone.weights='null'", "train.augment.lighting=0.1"],
        ["decoder=torchcodec"],
        ["decoder=torchcodec", "optim.lr=0.1"],
    ],
)
def test_a_scratch_runs_name_loads_it_again(overrides):
    changed = load(f"{RUN},width=128/seed4", overrides)
    assert changed.name.startswith("scratch/") and changed.name.count("/") == 5
    assert load(changed.name) == changed


@pytest.mark.slow
def test_what_data_is_called_stands_in_the_name_and_changes_nothing_else():
    plain, run = load("quick/folder/vit_digits/aim"), "quick/folder@mine/vit_digits/aim"
    for called in (load(run), load("quick/folder/vit_digits/aim", ["data.called=mine"])):
        assert called.name == f"{run}/seed0" and replace(called, name=plain.name) == plain
        assert load(called.name) == called
    other = load(run, ["data.called=other", "optim.lr=0.5"])
    assert other.name == "scratch/quick/folder@other/vit_digits/aim,optim.lr=0.5/seed0"
    assert load(other.name) == other
    for name in ("", "a b", "../x", "-x", "a@b"):
        said = problem("quick/folder/vit_digits/aim", f"data.called={name}")
        assert "is no name for data" in said
    assert "is no name for data" in problem("quick/folder@/vit_digits/aim")


def test_a_name_stays_a_file_name_however_much_is_overridden():
    many = [f"optim.betas=[0.{'9' * 12},0.{'8' * 12}]", f"train.augment.ratio=[0.{'7' * 14},1]"]
    many += [f"optim.{each}=0.123456789" for each in ("lr", "head_lr", "weight_decay", "warmup")]
    many += [f"train.{each}=0.123456789" for each in ("label_smoothing", "head_dropout", "holdout")]
    changed, other = load(RUN, many), load(RUN, [*many, "optim.lr=0.987654321"])
    assert len(changed.name.split("/")[4].encode()) <= 200
    assert changed.name != other.name
    assert "is shortened" in problem(changed.name)


def test_a_later_override_wins_over_an_earlier_one():
    assert load(RUN, ["optim.lr=1", "optim.lr=2"]).optim.lr == 2
    assert load(load(RUN, ["optim.lr=1"]).name, ["optim.lr=2"]).optim.lr == 2


@pytest.mark.slow
def test_the_child_and_its_parent_agree_on_the_name():
    for overrides in ([], ["optim.lr=3e-4"], ["workers=2"]):
        assert load(f"{RUN}/seed1", overrides) == load(RUN, [*overrides, "seed=1"])


def test_resolved_recipes_are_plain_values():
    def plain(value):
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        if type(value) is list:
            return all(map(plain, value))
        return value is None or type(value) in (str, int, float, bool)

    assert plain(asdict(load(f"{RUN},kernel=[3,3,3]", ["backbone.options.depth=3"])))


def test_changes_are_keys_that_both_have():
    old = {"optim": {"lr": 1e-3, "warmup": 0.1}, "seed": 0, "workers": 4, "name": "a"}
    new = {"optim": {"lr": 1e-4, "warmup": 0.1}, "seed": 0, "workers": 0, "name": "b", "later": 1}
    assert compose.changes(old, new) == {"optim.lr": (1e-3, 1e-4)}
    assert compose.changes(new, old) == {"optim.lr": (1e-4, 1e-3)}
    assert compose.changes(old, old) == {}


@pytest.mark.parametrize(
    ("annotation", "fine", "wrong"),
    [
        ("int", [0, -3], [1.0, "1", None, True, [1]]),
        ("float", [0, 1.5], ["1", None, True]),
        ("bool", [True], [1, "true", None]),
        ("str", ["a"], [1, None, ["a"]]),
        ("str | Path | None", ["a", None], [1, ["a"]]),
        ("Sequence[int]", [[], [1, 2]], [[1.5], "12", 1, None, {"a": 1}]),
        ("list[str] | None", [["a"], None], [[1], "a"]),
        ("Literal['a', 'b']", ["a", "b"], ["c", None]),
        ("Mapping[int, int]", [{1: 2}], [[1], 1]),
        ("float | Fraction", [0.25, 1], ["1/3"]),
        ("Any", [None, 1, "a", []], []),
    ],
)
def test_options_are_checked_against_annotations(annotation, fine, wrong):
    assert all(lookup.accepts(annotation, value) for value in fine)
    assert not any(lookup.accepts(annotation, value) for value in wrong)


def test_parameters_are_read_without_importing():
    found = lookup.parameters("benchmark.methods", "st_adapter")
    assert found["width"] == "int" and found["sites"].startswith("Sequence")
    with pytest.raises(UserError, match="did you mean 'st_adapter'"):
        lookup.parameters("benchmark.methods", "st_adaptor")


def test_machinery_has_no_name():
    assert not [each for each in lookup.names("datamodules.datasets") if each.startswith("_")]
    with pytest.raises(UserError, match="no '_video'"):
        lookup.find("datamodules.datasets", "_video")


def test_the_nearest_name_comes_with_all_if_they_are_few():
    assert nearest("aimm", ["aim", "full"]) == "; did you mean 'aim'? there are: aim, full"
    assert nearest("xyz", ["aim", "full"]) == "; there are: aim, full"
    assert nearest("name7x", [f"name{i}" for i in range(99)]) == "; did you mean 'name7'?"
    assert nearest("xyz", [f"name{i:02}" for i in range(99)]).endswith("name11, and 87 more")
    assert nearest("xyz", []) == "; there are none"


def test_what_says_where_a_run_runs_is_what_recipes_readme_lists():
    text = (compose.RECIPES / "README.md").read_text()
    listed = re.findall(r"`([\w.*]+)`", text[text.index("are not such:") :].partition("\n- ")[0])
    where = {key for key in KEYS | FREE_WHERE if is_execution_key(key)}
    sections = {f"{key}.*" for key in SECTIONS if is_execution_key(key)}
    assert set(listed) == sections | {k for k in where if f"{k.split('.')[0]}.*" not in sections}


def test_what_is_said_of_a_key_is_known():
    assert {said for each in METADATA.values() for said in each} == {
        *("least", "above", "most", "below", "length", "rising", "choices", "where")
    }
