"""Model cards: what a record knows, said in Markdown, beside the model."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from made_record import made_record
from places import set_places

from benchmark.errors import UserError
from benchmark.inference import model_card
from benchmark.recipes import compose
from benchmark.results import answers, splits
from benchmark.results.answers import Answers
from datamodules.dataset_info import Split

RUN = "quick/digits_motion/vit_digits/zeroi2v/seed0"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_places(monkeypatch, tmp_path)


def test_a_card_says_what_the_record_knows(tmp_path: Path) -> None:
    recipe = compose.load(RUN)
    record = made_record(RUN, recipe, metrics={"top1": 0.625, "chance": 0.25, "videos": 1234})
    text = model_card.render(Path("last.ckpt"), recipe, ["left_1", "a|b", "<b>"], record)
    for said in (
        *("| top-1 | 62.5 % |", "Of 1,234 test videos.", "| parameters trained | 1,000 |"),
        *("`" + "c" * 40 + "`", "3 classes", "a laptop", "benchmark predict last.ckpt VIDEO"),
        *("left\\_1, a\\|b, \\<b\\>", "0.18 G, 3 views", "4, uniform", "Apache-2.0"),
    ):
        assert said in text, said


def test_the_interval_is_of_the_videos_that_were_answered(tmp_path: Path) -> None:
    recipe, split = compose.load(RUN), Split.of([str(i) for i in range(100)], [0] * 100)
    listed = {"test": {"videos": 100, "sha256": split.sha256()}}
    from benchmark.results.schema import SplitChecksum

    lists = {name: SplitChecksum(**each) for name, each in listed.items()}
    record = made_record(RUN, recipe, metrics={"top1": 0.8, "videos": 100}, data={"splits": lists})
    file = record.write()
    splits.write(file, split)
    answers.write(file, Answers(np.arange(100) < 80, None, None))
    text = model_card.render(Path("x.pt2"), recipe, ["a"], record)
    # Wilson's interval of 80 of 100 with Student's t of 99 degrees of freedom, by hand
    assert "the top-1 lies between 70.9 and 86.8 %" in text
    assert "metadata" in text and "benchmark predict" not in text


def test_only_the_record_of_this_very_recipe_speaks_for_a_model() -> None:
    recipe = compose.load(RUN)
    assert model_card.record_of(recipe) is None
    made_record(RUN, recipe).write()
    assert model_card.record_of(recipe) is not None
    recipe.optim.lr *= 2
    assert model_card.record_of(recipe) is None
    text = model_card.render(Path("x.safetensors"), recipe, ["a"], None)
    assert "## Accuracy" not in text and "## Use" in text and asdict(recipe)


def test_a_card_replaces_a_card_and_nothing_else(tmp_path: Path) -> None:
    recipe, file = compose.load(RUN), tmp_path / "last.ckpt"
    for _ in range(2):
        assert model_card.write(file, recipe, ["a"], None) == tmp_path / "last.md"
    (tmp_path / "last.md").write_text("# Notes\n")
    with pytest.raises(UserError, match=r"last\.md: is no model card"):
        model_card.write(file, recipe, ["a"], None)
    assert (tmp_path / "last.md").read_text() == "# Notes\n"
