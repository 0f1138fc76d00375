"""Anyone's videos, named on the command line, are trained and tested on with all views."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from forked import Process
from make_videos import write

RUN = "quick/file_list/vit_digits/st_adapter"
HOW = (
    *("clip.sampling=dense", "clip.interval=4", "test.clips=3", "test.crops=3", "test.batch=9"),
    *("test.short_side=40", "train.augment.crop=plain", "train.augment.short_side=[34,48]"),
    *("train.batch=4", "train.epochs=6", "workers=1", "wandb.enabled=false"),
)


def drifting(step: int) -> list[np.ndarray]:
    """Return 40 pictures of stripes that drift to the right by `step` pixels per frame."""
    stripes = (np.arange(96) // 12 % 2 * 200).astype(np.uint8)
    return [np.tile(np.roll(stripes, step * t)[None, :, None], (60, 1, 3)) for t in range(40)]


@pytest.mark.slow
def test_anyones_videos_are_trained_on_and_tested_with_all_views(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        step = 1 if number % 2 else -1
        write(tmp_path / f"{number}.mp4", drifting(step), "libx264", "yuv420p", crf="23", g="250")
        rows.append(f"{number}.mp4,{'right' if step > 0 else 'left'}")
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("\n".join(["path,label", *rows]))
    env = {**os.environ, "RUNS": str(tmp_path / "runs"), "RESULTS": str(tmp_path / "results")}
    done = Process("benchmark", "run", RUN, f"data.root={tmp_path}", *HOW, env=env)
    _, stderr = done.communicate()
    assert done.returncode == 0, stderr
    (file,) = (tmp_path / "results").rglob("seed0.json")
    record = json.loads(file.read_text())
    assert record["cost"]["views"] == 9 and record["metrics"]["videos"] == 8
    assert record["data"]["classes"] == ["left", "right"]
    assert record["environment"]["decoder"].startswith("pyav")
    with np.load(file.with_suffix(".npz")) as arrays:
        assert arrays["clips_right"].max() <= 9
        right = arrays["clips_right"].sum() / 72
    assert record["metrics"]["clip_top1"] == pytest.approx(right)
