"""What sweeps of real videos take: the page is written, and what is kept of models is counted."""

from pathlib import Path

import pytest
from planned import SWEEPS, recipes
from tiny import demand

from benchmark.cli.parser import main
from benchmark.cost.forecast import foresee, models, sweeps_page
from benchmark.cost.forecast.hardware import gpus
from benchmark.errors import UserError
from benchmark.recipes import compose

REMEDY = "write it: benchmark forecast --all --save"
REAL = sweeps_page.names()
TENTHS = ("k400_tenth_b16", "ssv2_tenth_b16")
DAY = 24  # hours of one GPU


@pytest.mark.slow
def test_the_page_is_written_and_not_by_hand() -> None:
    text = sweeps_page.PAGE.read_text()
    own = sweeps_page.sweeps_table({name: recipes(name) for name in REAL})
    assert text == sweeps_page.page(text, own), REMEDY


@pytest.mark.slow
def test_all_methods_on_both_tenths_tuned_and_run_take_less_than_a_day_of_one_gpu() -> None:
    on, total = gpus(sweeps_page.GPU, 1, None, {}), 0.0
    for name in TENTHS:
        tried = foresee.trials(recipes(name), tuned=True)
        before = foresee.foresee([trial for trial, _ in tried], on)
        total += foresee.device_hours((run, 1) for run in foresee.foresee(recipes(name), on)).middle
        times = (times for _, times in tried)
        total += foresee.device_hours(zip(before, times, strict=True)).middle
    assert total < DAY


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_every_run_fits_on_a_gpu_of_80_gb(name: str) -> None:
    runs = foresee.foresee(recipes(name), gpus(sweeps_page.GPU, 1, None, {}))
    assert [run.recipe.name for run in runs if not run.fits] == []


@pytest.mark.slow
def test_of_every_model_of_the_committed_sweeps_it_is_kept_what_it_costs() -> None:
    wanted = {models.key_of(each) for name in SWEEPS for each in recipes(name)}
    assert wanted == models.kept().keys(), REMEDY


@pytest.mark.slow
def test_what_is_kept_is_what_the_list_of_methods_has() -> None:
    """That list is counted again by its own tests."""
    found = set()
    for each in recipes("k400_tenth_b16"):
        name = each.name.split("/")[3]
        kept = models.kept()[models.key_of(each)]
        listed = compose.read("counted")[name]
        assert {"parameters": kept.trained, "macs": kept.macs} == listed, REMEDY
        found.add(name)
    assert len(found) > 30


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aim", "side4video", "lora"])
def test_what_is_kept_is_what_is_counted(name: str) -> None:
    demand(name)
    recipe = compose.load(f"fair/kinetics400/vit_b16_clip/{name}")
    assert models.kept()[models.key_of(recipe)] == models.count(recipe), REMEDY


@pytest.mark.slow
def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    recipe = compose.load(
        "fair/digits_motion/vit_digits/zeroi2v"
    )  # its options have numbers as keys
    file = tmp_path / "kept.json"
    assert models.kept(file) == {}
    models.keep([recipe, recipe], file)
    assert models.kept(file) == {models.key_of(recipe): models.count(recipe)}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("forecast", "error: forecast what?"),
        ("forecast --all --gpu a100", "error: --all stands alone"),
        ("forecast fair_digits --all", "error: --all stands alone"),
        ("forecast fair_digits --save", "error: --save is for --all"),
    ],
)
def test_what_makes_no_sense_is_told(
    argv: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv.split()) == 2
    assert capsys.readouterr().err.startswith(said)


def test_the_sweeps_of_digits_are_left_out() -> None:
    assert {*REAL} < {*SWEEPS} and "digits" not in REAL and "k400_b16" in REAL


def test_a_page_without_its_place_is_told() -> None:
    with pytest.raises(UserError, match="no <!-- written by"):
        sweeps_page.page("nothing", "table")
