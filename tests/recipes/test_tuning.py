"""What a protocol lets be chosen: as many trials for every method, and nothing else of its own."""

import shutil
from dataclasses import replace

import pytest

from benchmark.errors import UserError
from benchmark.recipes import compose, tuned
from benchmark.recipes.schema import Tuning
from benchmark.recipes.tuning import demand_tuned, is_tuned, settings, trial_overrides

RUN = "fair/digits_motion/vit_digits/aim"
RATE = {"low": 1e-3, "high": 1e-1}


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    """Return a copy of recipes/ that `load` reads instead."""
    copy = shutil.copytree(
        compose.RECIPES, tmp_path / "recipes", ignore=shutil.ignore_patterns("*.safetensors")
    )
    for file in (copy / "protocols/fair/digits_motion/vit_digits").glob("*.yaml"):
        file.unlink()
    monkeypatch.setattr(compose, "RECIPES", copy)
    return copy


def tuning(trials, **space):
    named = {key.replace("_", ".", 1): values for key, values in space.items()}
    return Tuning(trials=trials, seeds=[0], epochs=0.5, holdout=0.1, space=named)


def test_one_range_alone_is_a_grid_with_its_ends():
    assert settings(tuning(3, optim_lr=RATE)) == [{"optim.lr": lr} for lr in (1e-3, 1e-2, 1e-1)]
    linear = {"low": 0, "high": 4, "scale": "linear"}
    found = settings(tuning(5, train_dropout=linear))
    assert [each["train.dropout"] for each in found] == [0, 1, 2, 3, 4]
    assert settings(tuning(1, optim_lr=RATE)) == [{"optim.lr": 1e-3}]


@pytest.mark.parametrize("trials", [2, 5, 8])
def test_more_to_choose_makes_no_more_trials_and_tries_every_value(trials):
    alone = settings(tuning(trials, optim_lr=RATE))
    found = settings(tuning(trials, optim_lr=RATE, optim_decay=RATE, method_x=["a", "b"]))
    assert len(found) == trials
    assert [each["optim.lr"] for each in found] == [each["optim.lr"] for each in alone]
    assert sorted(each["optim.decay"] for each in found) == [each["optim.lr"] for each in alone]
    counts = [sum(each["method.x"] == choice for each in found) for choice in "ab"]
    assert sum(counts) == trials and abs(counts[0] - counts[1]) <= 1
    assert found == settings(tuning(trials, optim_lr=RATE, optim_decay=RATE, method_x=["a", "b"]))


def test_extras_do_not_follow_the_rate():
    found = settings(tuning(8, optim_lr=RATE, optim_decay=RATE))
    assert [each["optim.decay"] for each in found] != [each["optim.lr"] for each in found]


def test_a_range_is_widened_at_the_distance_of_its_values():
    space = tuning(3, optim_lr=RATE, method_x=["a", "b"])
    found = settings(space, {"optim.lr": (2, 1)})
    assert found[:3] == settings(space)
    assert [each["optim.lr"] for each in found[3:]] == [1e-4, 1e-5, 1]
    assert {each["method.x"] for each in found[3:]} <= {"a", "b"}
    assert settings(space, {"optim.lr": (1, 1)})[3] == found[3]  # what was tried stays tried


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("3", "holds keys of its own"),
        ("{optim.lr: 3}", "optim.lr is 3, not values [A, B], or a range {low: L"),
        ("{optim.lr: []}", "not values [A, B]"),
        ("{optim.lr: {low: 1, hihg: 2}}", "not a range {low: L, high: H"),
        ("{optim.lr: {low: 2, high: 1}}", "whose low is below its high"),
        ("{optim.lr: {low: 0, high: 1}}", "above 0"),
        ("{optim.lr: {low: 1, high: a}}", "of numbers"),
        ("{optim.lr: {low: 1, high: 2, scale: cubic}}", "scale: log or linear"),
    ],
)
def test_a_space_of_which_nothing_can_be_tried_is_refused(kitchen, space, said):
    file = kitchen / "protocols/fair/digits_motion/all.yaml"
    text = file.read_text()
    before = "space:\n    optim.lr: {low: 1e-4, high: 1e-1}"
    assert before in text
    file.write_text(text.replace(before, f"space: {space}"))
    with pytest.raises(UserError) as caught:
        compose.load(RUN)
    assert said in str(caught.value) and "recipes/protocols/" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "key"),
    [
        ("aim", "train: {epochs: 99}", "train.epochs"),
        ("aim", "clip: {frames: 8}", "clip.frames"),
        ("aim", "tuning: {trials: 99}", "tuning.trials"),
        ("aim", "optim: {lr: 1}", None),  # it is tuned
        ("aim", "optim: {warmup: 1}", "optim.warmup"),
        ("aim", "method: {scale: 1}\ntuning: {space: {method.scale: [0.5, 1]}}", None),
        ("digits_motion/vit_digits/aim", "test: {clips: 2}", "test.clips"),
        ("digits_motion/vit_digits/aim", "optim: {lr: 1}\ntuned: {trials: 3}", None),
    ],
)
def test_a_method_has_nothing_of_its_own_but_its_options_and_what_is_tuned(
    kitchen, file, text, key
):
    path = kitchen / f"protocols/fair/{file}.yaml"
    path.write_text(text)
    if key is None:
        assert compose.load(RUN).method["name"] == "aim"
        return
    with pytest.raises(UserError) as caught:
        compose.load(RUN)
    assert f"fair/{file}.yaml: sets {key!r}" in str(caught.value)


@pytest.mark.slow
def test_a_run_that_is_not_tuned_is_refused_with_what_to_type_unless_it_is_wanted(kitchen):
    recipe = compose.load(RUN)
    with pytest.raises(UserError) as caught:
        demand_tuned([recipe])
    assert f"{RUN} is not tuned; type: benchmark tune {RUN}" in str(caught.value)
    with pytest.raises(UserError, match=r"1 of 2 runs .* benchmark tune mine"):
        demand_tuned([recipe, compose.load("quick/digits_motion/vit_digits/aim")], "mine")
    wanted = compose.load(RUN, ["untuned=true"])
    assert is_tuned(wanted) and wanted.name == recipe.name  # on the board, which marks it
    assert is_tuned(compose.load(RUN, ["optim.lr=0.1"]))  # in scratch
    tuned.write(RUN, {"optim.lr": 0.01}, {"trials": 6}, "by a test")
    demand_tuned([now := compose.load(RUN)])
    assert now.optim.lr == 0.01 and now.tuned == {"trials": 6}
    assert "untuned" in compose.changes(vars(wanted), vars(now))


def test_a_trial_trains_for_its_share_and_scores_what_is_held_out(kitchen):
    recipe = compose.load(RUN)
    changed = trial_overrides(recipe, {"optim.lr": 0.5})
    tuned.write(RUN, {"optim.lr": 0.01}, {"trials": 6}, "by a test")
    trial = compose.load(RUN, [f"{key}={value}" for key, value in changed.items()])
    assert trial.train.holdout == recipe.tuning.holdout and trial.optim.lr == 0.5
    assert trial.train.epochs == round(recipe.train.epochs * recipe.tuning.epochs)
    share = trial.train.epochs / recipe.train.epochs
    assert trial.optim.warmup == pytest.approx(recipe.optim.warmup * share, rel=0.01)
    assert trial.tuned == {} and trial.name.startswith("scratch/")


def test_what_may_be_tuned_says_nothing_of_what_a_run_is(kitchen):
    recipe = compose.load(RUN)
    other = replace(recipe, tuning=replace(recipe.tuning, trials=99, space={}))
    assert compose.changes(asdict_of(recipe), asdict_of(other)) == {}


def asdict_of(recipe):
    from dataclasses import asdict

    return asdict(recipe)


@pytest.mark.slow
def test_a_tuned_file_keeps_what_was_written_by_hand(kitchen):
    file = kitchen / "protocols" / f"{RUN}.yaml"
    file.write_text("# why\nmethod: {time_std: 0.5}\n")
    for rate in (0.25, 0.5):
        assert tuned.write(RUN, {"optim.lr": rate}, {"trials": 6}, "by a test") == file
        lines = file.read_text().splitlines()
        assert lines[:2] == [f"{tuned.HEADING}by a test", "# why"]
        recipe = compose.load(RUN)
        assert recipe.optim.lr == rate and recipe.method["time_std"] == 0.5
    tuned.write(RUN, {"method.time_std": 0.25}, {}, "by a test")
    assert compose.load(RUN).method["time_std"] == 0.25
    assert tuned.is_tuned(file, kitchen)
    assert not tuned.is_tuned(kitchen / "protocols/fair.yaml", kitchen)
    elsewhere = kitchen / "methods/aim.yaml"
    elsewhere.write_text(f"{tuned.HEADING}it says\n")
    assert not tuned.is_tuned(elsewhere, kitchen)


def test_data_of_ones_own_name_may_have_files_of_its_own(kitchen):
    folder = kitchen / "protocols/quick/folder@mine"
    folder.mkdir()
    (folder / "all.yaml").write_text("train: {epochs: 7}")
    plain, mine = "quick/folder/vit_digits/aim", "quick/folder@mine/vit_digits/aim"
    assert compose.load(plain).train.epochs != 7
    assert compose.load(mine).train.epochs == 7
    assert compose.load(plain, ["data.called=mine"]).train.epochs == 7
