"""A contact sheet: the frames that a model saw of a video, and its answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.inference.picture import figure, show
from benchmark.inference.predict import Prediction

COLUMNS = 8  # frames side by side
FRAME = 1.15  # inches
MOST = 96  # frames of a sheet; of more views the first
BARS = 1.5  # inches


def contact_sheet(file: Path, found: Prediction, classes: Sequence[str]) -> None:
    """Draw the frames of every view, the five most probable classes above them, into `file`.

    Args:
        file: Where to.
        found: Of a video that is not broken.
        classes: K names.
    """
    assert found.views is not None
    views, _, frames, _, _ = found.views.shape
    drawn = max(1, min(views, MOST // frames))
    rows = -(-frames // COLUMNS)  # of a view
    columns = min(frames, COLUMNS)
    width, height = max(columns * FRAME, 5.0), drawn * rows * (FRAME + 0.12) + BARS
    with figure(file, width, height) as sheet:
        above, below = sheet.subfigures(2, 1, height_ratios=[BARS, height - BARS])
        for each in (above, below):
            each.set_facecolor("none")
        _bars(above.subplots(), found, classes)
        axes = below.subplots(drawn * rows, columns, squeeze=False)
        for each in axes.flat:
            each.set_visible(False)
        for view in range(drawn):
            pictures = found.views[view].permute(1, 2, 3, 0).numpy()  # (T, H, W, C)
            for frame, picture in enumerate(pictures):
                place = axes[view * rows + frame // COLUMNS, frame % COLUMNS]
                place.set_visible(True)
                show(
                    place,
                    picture,
                    f"{frame + 1}" if views == 1 else f"view {view + 1}, {frame + 1}",
                )
        if drawn < views:
            below.suptitle(f"the first {drawn} of {views} views", fontsize=8)


def _bars(axes: Any, found: Prediction, classes: Sequence[str]) -> None:
    best = found.best()
    names = [_short(classes[number]) for number, _ in best]
    values = [100 * p for _, p in best]
    axes.barh(range(len(best)), values, color="#0072b2", height=0.7)
    axes.set_yticks(range(len(best)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row, value in enumerate(values):
        axes.text(value + 1, row, f"{value:.1f} %", va="center", fontsize=8)
    axes.set_title(_short(Path(found.video).name, 70), fontsize=9, loc="left")


def _short(text: str, most: int = 32) -> str:
    """Return a name for a picture: not too long, its $ no mathematics."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return cut.replace("$", r"\$")
