"""Predictions: a test's, to the bit; of many files, of which some may be broken."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trained import CLASSES, a_checkpoint, a_video

import benchmark
from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.inference.contact_sheet import contact_sheet
from benchmark.inference.predict import Prediction, predict, videos_in
from benchmark.models import checkpoint
from benchmark.recipes import build
from benchmark.training import train

Capture = pytest.CaptureFixture[str]


@pytest.mark.slow
def test_the_answers_are_those_of_a_test_to_the_bit(tmp_path: Path) -> None:
    from dataclasses import asdict

    small = ["data.train=16", "data.holdout=8", "data.test=12", f"data.root={tmp_path}"]
    more = ["test.clips=2", "test.batch=6", "trainer.accelerator=cpu", "workers=0", "cache=false"]
    run = "quick/digits_motion/vit_digits/aim/seed0"
    recipe = benchmark.load_recipe(run, [*small, *more])
    model, _ = build.model(recipe, 8)
    file = tmp_path / "aim.safetensors"
    checkpoint.write(file, model, asdict(recipe))
    datamodule = build.datamodule(recipe)
    task = train.restore(checkpoint.read(file), recipe, datamodule)
    wanted = train.evaluate(train.testing_trainer(recipe, lambda _: None), task, datamodule)
    split = datamodule.data.splits["test"]
    videos = [split.path(i) for i in range(len(split))]
    found = list(predict(benchmark.load_checkpoint(file), videos))
    assert [each.video for each in found] == videos
    rows = [each.probabilities for each in found]
    assert torch.equal(torch.stack([row for row in rows if row is not None]), wanted.scores)


def test_folders_are_searched_and_a_folder_of_pictures_is_a_video(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "notes.txt", ".hidden.mp4", "deep/c.avi", "frames/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    own = [str(tmp_path / each) for each in ("a.MKV", "b.mp4", "deep/c.avi", "frames")]
    assert videos_in([tmp_path]) == own
    assert videos_in([tmp_path / "notes.txt", tmp_path / "frames"]) == [
        *(str(tmp_path / each) for each in ("notes.txt", "frames"))
    ]
    (tmp_path / "empty").mkdir()
    for place, said in (("empty", "there is no video in it"), ("none", "no video")):
        with pytest.raises(UserError, match=said):
            videos_in([tmp_path / "b.mp4", tmp_path / place])


@pytest.mark.slow
def test_a_broken_video_is_one_line_and_the_rest_goes_on(tmp_path: Path, capsys: Capture) -> None:
    file = a_checkpoint(tmp_path)
    for name in ("a", "c"):
        a_video(tmp_path / "videos" / f"{name}.mp4")
    (tmp_path / "videos" / "b.mp4").write_bytes(b"no video")
    sheets = tmp_path / "sheets"
    words = [
        "predict",
        str(file),
        str(tmp_path / "videos"),
        "--top",
        "3",
        "trainer.accelerator=cpu",
    ]
    assert main([*words, "--json", "--picture", str(sheets)]) == 1
    told = capsys.readouterr()
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert [Path(row["video"]).name for row in rows] == ["a.mp4", "b.mp4", "c.mp4"]
    assert "b.mp4" in rows[1]["error"] and "top" not in rows[1]
    for row in (rows[0], rows[2]):
        p = [each["probability"] for each in row["top"]]
        assert len(p) == 3 and p == sorted(p, reverse=True) and 0 < sum(p) <= 1
        assert all(CLASSES[each["number"]] == each["class"] for each in row["top"])
    errors = told.err.splitlines()
    assert len(errors) == 2 and "b.mp4" in errors[0] and errors[1] == "1 of 3 videos are broken"
    assert sorted(each.name for each in sheets.iterdir()) == ["1_a.png", "3_c.png"]
    assert main([*words[:2], str(tmp_path / "videos" / "a.mp4"), "workers=0"]) == 0
    assert f"%  {rows[0]['top'][0]['class']}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_contact_sheet_shows_what_was_seen(tmp_path: Path) -> None:
    red = torch.zeros(2, 3, 8, 16, 16, dtype=torch.uint8)
    red[:, 0] = 255
    found = Prediction("x/$video$.mp4", torch.tensor([0.1, 0.7, 0.2]), red)
    sizes = []
    for views in (red, red[:1]):
        found = Prediction(found.video, found.probabilities, views)
        contact_sheet(tmp_path / "sheet.png", found, ("a", "b_$x", "c" * 99))
        with Image.open(tmp_path / "sheet.png") as picture:
            pixels = np.asarray(picture.convert("RGB"))
        share = (pixels == [255, 0, 0]).all(axis=-1).sum()
        sizes.append(share / 150**2)  # square inches of red
    assert sizes[1] > 5 and sizes[0] == pytest.approx(2 * sizes[1], rel=0.2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict {here}/none.ckpt {here}/a.mp4", "no checkpoint"),
        ("predict {here}/a.mp4 {here}/a.mp4", "is broken, cut off for instance, or another kind"),
        ("predict {here}/none.ckpt {here}/none.mp4", "no video {here}/none.mp4"),
        ("predict {here}/none.ckpt {here}/a.mp4 --top 0", "--top 0: not a number above 0"),
        ("predict {here}/none.ckpt {here}/a.mp4 --picture x.gif", "a picture's name ends in .png"),
        (
            "predict {here}/none.ckpt {here}/a.mp4 --picture {here}/a.mp4/x.png",
            "4 is no folder",
        ),
        ("predict {here}/none.ckpt {here}/a.mp4 {here}/a.mp4 --picture x.png", "for 2 videos"),
        ("explain {here}/none.ckpt {here}/a.mp4 -o x.txt", "a picture's name ends in .png"),
        ("explain {here}/none.ckpt {here}/none.mp4 -o {here}/x.png", "no video"),
        (
            "explain {here}/st_adapter.safetensors {here}/a.mp4 -o {here}/x.png --class lef",
            "'left'",
        ),
        ("export {here}/none.ckpt -o {here}/x.pth", "name a .pt2 or .onnx file"),
        ("export {here}/none.ckpt -o /proc/x.pt2", "cannot write /proc/x.pt2"),
        ("export {here}/none.ckpt -o {here}/README.pt2", "README.md: is no model card"),
        ("export {here}/none.ckpt -o {here}/x.pt2", "no checkpoint"),
    ],
)
def test_mistakes_are_one_line(words: str, said: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "README.md").write_text("mine")
    if "safetensors" in words:
        a_checkpoint(tmp_path)
    assert main(words.format(here=tmp_path).split()) == 2
    told = capsys.readouterr()
    assert said.format(here=tmp_path) in told.err and len(told.err.splitlines()) == 1
    assert (tmp_path / "README.md").read_text() == "mine" and not told.out


def test_a_packed_video_with_an_equals_sign_in_its_name_is_no_override(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    row = b"a=b.mp4\t0\t512\t1\t0\t0\n"
    (tmp_path / "shards.tsv").write_bytes(row)
    facts = {"version": 1, "bytes": len(row), "shards": [["train-000000.tar", 2048, ""]]}
    (tmp_path / "shards.json").write_text(json.dumps(facts))
    asked = []

    def load_checkpoint(file: Path, overrides: list[str]) -> None:
        asked.extend(overrides)
        raise UserError("enough")

    monkeypatch.setattr("benchmark.inference.trained_model.load_checkpoint", load_checkpoint)
    command = ["predict", "last.ckpt", str(tmp_path / "a=b.mp4"), "test.clips=2"]
    assert main(command) == 2 and asked == ["test.clips=2"]
    (tmp_path / "shards.json").rename(tmp_path / ".packing")
    capsys.readouterr()
    assert main(command) == 2
    assert "is being packed, or that was interrupted" in capsys.readouterr().err
