"""The papers' numbers: checked row by row as they are read, and found by the run they are like."""

from dataclasses import replace

import pytest
import yaml
from made_record import made_record

from benchmark.errors import UserError
from benchmark.recipes import compose
from benchmark.recipes.name import RunName
from benchmark.results import published
from benchmark.results.published import COUNTS, PUBLISHED, like, read, same_configuration

SMALL = {
    "papers": {"aim": {"title": "AIM", "url": "https://a.b", "methods": ["aim", "aim_four"]}},
    "backbones": {"vit_b16_clip": "CLIP ViT-B/16"},
    "data": {"kinetics400": {"title": "Kinetics-400", "classes": 400}},
    "sources": {"readme": {"title": "AIM README"}},
    "rows": [
        {
            **{"method": "aim", "backbone": "vit_b16_clip", "data": "kinetics400"},
            **{"source": "readme", "frames": 8, "views": 3, "top1": 83.9},
        }
    ],
}
AIM = "paper/kinetics400/vit_b16_clip/aim"


@pytest.fixture(scope="module")
def everything():
    return read()


@pytest.mark.slow
def test_every_row_of_the_committed_file_is_read(everything):
    assert len(everything.rows) == len(yaml.safe_load(PUBLISHED.read_text())["rows"]) > 200
    assert {row.data for row in everything.rows} == everything.data.keys()
    assert {row.backbone for row in everything.rows} == everything.backbones.keys()
    assert {row.source for row in everything.rows} == everything.sources.keys()


def test_every_row_is_another(everything):
    rows = [(*replace(row, differences=None).__dict__.values(),) for row in everything.rows]
    assert len(set(rows)) == len(rows)


def test_top_5_is_no_less_than_top_1(everything):
    assert all(row.top5 is None or row.top5 >= row.top1 for row in everything.rows)


def test_the_backbones_and_datasets_that_have_recipes_are_called_as_these(everything):
    assert {"vit_b16_clip", "vit_l14_clip", "vit_b16_in21k"} == (
        everything.backbones.keys() & set(compose.names("backbones"))
    )
    ours = everything.data.keys() & set(compose.names("data"))
    assert ours >= {"kinetics400", "ssv2", "hmdb51", "ucf101", "diving48", "kinetics700"}


def test_every_method_of_ours_that_is_printed_has_a_paper(everything):
    plain = {"full", "linear_probe"}  # nobody's
    ours = {row.method for row in everything.rows} & set(compose.names("methods")) - plain
    assert ours and all(everything.paper(method) for method in ours)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"top1": 839}, "rows[0] (aim on kinetics400).top1 is 839, not between 0 and 100"),
        ({"frames": "8x3"}, "rows[0] (aim on kinetics400).frames is '8x3', not a count"),
        ({"gflops": 606}, "rows[0] (aim on kinetics400).gflops unknown"),
        ({"doubts": "none"}, "rows[0] (aim on kinetics400).doubts is 'none', not a list"),
        ({"data": "kinetic400"}, "rows[0] (aim on kinetic400).data: no 'kinetic400'; did you mean"),
        ({"source": "paper"}, "rows[0] (aim on kinetics400).source: no 'paper'; there are: readme"),
        ({"backbone": "x"}, "rows[0] (aim on kinetics400).backbone: no 'x'"),
        ({"top1": None}, "rows[0] (aim on kinetics400) prints nothing"),
        ({"differences": {"top1": "why"}}, "rows[0] (aim on kinetics400).differences: no 'top1'"),
        ({"method": None}, "rows[0] (None on kinetics400).method is None, not a text"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_row_and_key(change, told, tmp_path):
    file = tmp_path / "published.yaml"
    row = {**SMALL["rows"][0], **change}
    file.write_text(yaml.safe_dump({**SMALL, "rows": [row]}))
    with pytest.raises(UserError) as error:
        read(file)
    assert told in str(error.value) and str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rows: {", "published.yaml"),
        ("[]", "rows is no list"),
        ("rows: [aim]", "rows[0] is 'aim', not keys with values"),
        ("rows: []", "backbones, data, papers, sources missing"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(text, told, tmp_path):
    file = tmp_path / "published.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"published\.yaml") as error:
        read(file)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_row_is_like_a_run_of_the_same_configuration_only(everything):
    row = like(everything.rows, AIM, frames=8, views=3)
    assert (row.top1, row.top5, row.gmacs) == (83.9, 96.3, 606)
    assert like(everything.rows, AIM, frames=16, views=3).top1 == 84.5
    assert like(everything.rows, AIM, frames=8, views=4) is None
    for other in ("aim,scale=1.0", "aim,method.scale=1.0", "st_adapter,width=128"):
        run = RunName.parse(f"paper/kinetics400/vit_b16_clip/{other}")
        assert not any(same_configuration(row, run, frames=8, views=3) for row in everything.rows)
    where = RunName.parse(f"{AIM},clip.frames=8")
    assert same_configuration(row, where, frames=8, views=3)


def test_somebody_elses_rerun_is_not_what_a_method_prints(everything):
    rerun = [row for row in everything.rows if row.reproduced and row.method == "aim"]
    assert rerun and like(rerun, AIM, frames=32, views=3) is None
    assert like(everything.rows, AIM, frames=32, views=3).top1 == 84.7


@pytest.mark.parametrize(
    ("name", "frames", "views", "top1"),
    [
        (f"{AIM}/seed0", 8, 3, 83.9),
        (f"{AIM}/seed0", 32, 3, 84.7),
        (f"{AIM}/seed0", 8, 4, None),  # other views
        ("quick/kinetics400/vit_b16_clip/aim/seed0", 8, 3, None),  # trained in another way
        (f"scratch/{AIM},optim.lr=1/seed0", 8, 3, None),
    ],
)
def test_a_record_is_beside_its_paper_where_it_was_trained_as_the_paper_says(
    name, frames, views, top1, everything
):
    run = made_record(name, {"clip": {"frames": frames}}, cost={"views": views})
    row = published.published(everything.rows, run)
    assert (row and row.top1) == top1


def test_a_record_without_frames_is_beside_none(everything):
    assert published.published(everything.rows, made_record(f"{AIM}/seed0")) is None
    odd = made_record(f"{AIM}/seed0", {"clip": None})
    assert published.published(everything.rows, odd) is None


def test_what_is_known_to_be_misprinted_is_doubted(everything):
    def row(**keys):
        return [r for r in everything.rows if all(getattr(r, k) == v for k, v in keys.items())]

    assert all("2802" in r.doubts[0] for r in row(gmacs=2902)) and row(gmacs=2902)
    assert all("below" in r.doubts[0] for r in row(gmacs=97)) and row(gmacs=97)
    assert set(COUNTS) >= {key for r in everything.rows for key in r.differences or {}}
