"""`profile` gives the papers' costs for every run of the protocol `paper`, without their data."""

import json

import pytest
import yaml

from benchmark.cli.parser import main
from benchmark.recipes import compose
from datamodules.files import ROOT

pytestmark = pytest.mark.slow

REFERENCE = ROOT / "tests" / "fixtures" / "reference" / "parameters.yaml"
WIDTH = 768  # of ViT-B/16
CLASSES = {"kinetics400": 400, "ssv2": 174, "diving48": 48, "hmdb51": 51, "ucf101": 101}
TIMED = ("aim", "zeroi2v")  # methods with an embedding of time, a vector per frame

PRINTED = ("aim", "aim_four", "st_adapter", "st_adapter_both", "st_adapter_mlp", "zeroi2v")
UNPRINTED = {"paper/ssv2/vit_b16_clip/st_adapter"}  # its cost
RUNS = sorted(  # at L/14 the papers' page is held to the same figures, in test_published_page
    str(file.relative_to(compose.RECIPES / "protocols").with_suffix(""))
    for method in PRINTED
    for file in (compose.RECIPES / "protocols" / "paper").glob(f"*/vit_b16_clip/{method}.yaml")
)
RUNS = [run for run in RUNS if run not in UNPRINTED]


@pytest.mark.parametrize("run", RUNS)
def test_a_paper_run_costs_what_its_paper_says(run, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.files.RUNS", tmp_path)  # there is no data
    assert main(["profile", "--json", run]) == 0
    found = json.loads(capsys.readouterr().out)
    _, data, _, name = run.split("/")
    loaded = compose.load(run)
    assert found["views"] == loaded.test.clips * loaded.test.crops == found["published"]["views"]
    if "gmacs" not in (found["published"]["differences"] or {}):
        assert found["macs"] / 1e9 == pytest.approx(found["published"]["gmacs"], rel=3e-3)
    counts = yaml.safe_load(REFERENCE.read_text())[name]["B16/400"]
    trained, total = map(int, counts.split())  # with 8 frames and 400 classes
    more = (CLASSES[data] - 400) * (WIDTH + 1)
    if loaded.method["name"] in TIMED:
        more += (loaded.clip.frames - 8) * WIDTH
    assert (found["trained_parameters"], found["total_parameters_training"]) == (
        trained + more,
        total + more,
    )


def test_the_doubts_about_what_is_printed_stand_below_it(capsys):
    assert main(["profile", "paper/kinetics400/vit_l14_clip/aim", "--classes", "400"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "published: AIM README, line 93 (https://github.com/taoyang1122/adapt-image-models)",
        "doubt: 2902 is a misprint of 2802.",
    ]


def test_options_of_a_paper_run_are_those_of_its_method():
    shifts = compose.load("paper/ssv2/vit_l14_clip/zeroi2v").method["shifts"]
    assert list(shifts.items()) == [(-1, 2), (1, 2), (-2, 1), (2, 1), (-3, 1)]  # the order counts


def test_classes_can_be_given(capsys):
    assert main(["profile", "--json", "--classes", "7", RUNS[0]]) == 0
    assert json.loads(capsys.readouterr().out)["head_parameters"] == 7 * 769


def test_the_number_of_classes_is_looked_up_where_no_constant_says_it(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr("datamodules.files.RUNS", tmp_path)
    small = ["data.train=10", "data.holdout=10", "data.test=10"]
    run = "quick/digits_identity/vit_digits/linear_probe"
    assert main(["profile", "--json", run, *small]) == 0
    assert json.loads(capsys.readouterr().out)["head_parameters"] == 10 * 97


@pytest.mark.parametrize(("task", "classes"), [("verb", 97), ("noun", 300), ("action", 3806)])
def test_the_classes_of_a_dataset_may_depend_on_its_task(task, classes, capsys):
    run = "quick/epic_kitchens100/vit_digits/linear_probe"
    assert main(["profile", "--json", run, f"data.task={task}"]) == 0
    assert json.loads(capsys.readouterr().out)["head_parameters"] == classes * 97
