"""Encode the videos of a dataset anew, so that training decodes them quickly.

They become smaller and get many key frames; lists and labels are copied beside them, so that
data.root=DIR is all that is needed to use them.
"""

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.dataset_info import DatasetInfo
from datamodules.decoding.open import open_video
from datamodules.errors import UserError
from datamodules.files import why_unwritten
from datamodules.preparation.encode import Encoding
from datamodules.preparation.resumable import Row, for_each_file
from datamodules.shards.index import FACTS, NAMES

SHORT_SIDE = 256  # pixels
GROUP = 16  # frames from one key frame to the next
QUALITY = 20  # x264's crf: 18 can hardly be told from the source, 23 is its default
# What may be asked for, both ends included; crf 0 is lossless, which few players decode
RANGES = {"short_side": (16, 8192), "group": (1, 1000), "quality": (1, 51)}
PATIENCE = 3600.0  # seconds for one file
LOG = ".prepared.jsonl"
LISTS = {".csv", ".json", ".tsv", ".txt", ".yaml", ".yml"}
SAMPLE, ROUNDS = 20, 3  # videos whose decoding is timed, and how often
SHOWN = 20  # broken videos that are listed; the log has them all
BUDGETS: dict[str, Callable[[int], NDArray[np.int64]]] = {  # frame count -> what is decoded
    "8 frames all over ": lambda count: (2 * np.arange(8) + 1) * count // 16,
    "16, every 4th one ": lambda count: np.minimum(count // 4 + 4 * np.arange(16), count - 1),
}

# What is decoded -> milliseconds before, after, and how many times faster, each a median.
Speeds = dict[str, tuple[float, float, float]]


def prepare(
    data: DatasetInfo,
    out: Path,
    *,
    workers: int,
    short_side: int = SHORT_SIDE,
    group: int = GROUP,
    quality: int = QUALITY,
) -> dict[str, Row]:
    """Encode every video of a dataset into `out`, and return a row for each by its name.

    Typed again it goes on where it was stopped, and encodes again what has changed. A video that
    cannot be read is left out and noted.

    Args:
        data: The dataset.
        out: Folder of the new videos.
        workers: Processes.
        short_side: Pixels of the shorter side; smaller videos keep their size.
        group: Frames from one key frame to the next.
        quality: x264's rate factor, 1 to 51; smaller is better.

    Raises:
        UserError: The videos do not lie in one folder, or `out` is that folder, in it, around it,
            full, or being written.
    """
    root, names = Path(data.splits["train"].root), demand_within(data)
    demand_apart(root, out, {os.path.dirname(name) for name in names})
    encode = Encoding(str(root), str(out), short_side, group, quality)
    rows = for_each_file(
        root,
        names,
        out / LOG,
        encode,
        title=f"preparing {data.name}",
        workers=workers,
        patience=PATIENCE,
        holds=encode.holds,
    )
    take_lists(root, out, names)
    return rows


def demand_within(data: DatasetInfo) -> list[str]:
    """Return the names of all videos, each once, or raise a UserError if one is not in the root."""
    names = list(dict.fromkeys(n for split in data.splits.values() for n in split.names()))
    if outside := [name for name in names if os.path.isabs(name) or ".." in Path(name).parts]:
        raise UserError(f"{data.name}: {outside[0]} lies outside of data.root: nowhere to put it")
    return names


def demand_apart(root: Path, out: Path, folders: Iterable[str]) -> None:
    """Raise a UserError if new videos would lie among the old ones, or in what is no folder."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is no folder: name one for the new videos")
    new, old = out.resolve(), root.resolve()
    linked = (os.path.realpath(out / each) == os.path.realpath(root / each) for each in folders)
    if new == old or any(linked):
        raise UserError(f"{out} is the folder of the old videos: name another")
    if new.is_relative_to(old) or old.is_relative_to(new):
        how = "lies in" if new.is_relative_to(old) else "holds"
        raise UserError(f"{out} {how} {root}, the folder of the old videos: name one beside it")


def take_lists(root: Path, out: Path, names: Sequence[str]) -> None:
    """Copy the lists, or raise a UserError."""
    try:
        copy_lists(root, out, names)
    except OSError as error:
        why = why_unwritten(error, out)
        raise UserError(f"{out}: the lists cannot be copied: {why}") from None


def copy_lists(root: Path, out: Path, names: Sequence[str]) -> None:
    """Copy the lists and labels in a dataset's folder, which do not lie among its videos."""
    videos, folders = set(names), {os.path.dirname(name) for name in names} - {""}
    for place, below, files in os.walk(root):
        here = Path(place).relative_to(root)
        below[:] = [each for each in below if str(here / each) not in videos | folders]
        for each in files:
            listed = Path(each).suffix.lower() in LISTS and str(here / each) not in videos
            if listed and each not in (FACTS, NAMES):
                (out / here).mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / here / each, out / here / each)


def speed_up(data: DatasetInfo, out: Path, rows: Mapping[str, Row]) -> Speeds:
    """Time decoding before and after, side by side, on a few videos and one thread."""
    fine = [name for name, row in rows.items() if row["problem"] is None]
    chosen = [fine[i] for i in np.linspace(0, len(fine) - 1, min(SAMPLE, len(fine))).astype(int)]
    folders, found = (data.splits["train"].root, out), Speeds()
    for budget, choose in BUDGETS.items():
        taken = []  # (before, after) of every video
        for name in chosen:
            seconds = [
                [_seconds(Path(each, name), choose) for each in folders] for _ in range(ROUNDS)
            ]
            taken.append([statistics.median(each) for each in zip(*seconds, strict=True)])
        if taken:
            before, after = np.array(taken).T
            ratio = float(np.median(before / after))
            found[budget] = float(np.median(before)) * 1e3, float(np.median(after)) * 1e3, ratio
    return found


def _seconds(path: Path, choose: Callable[[int], NDArray[np.int64]]) -> float:
    start = time.perf_counter()
    with open_video(path) as video:
        video.frames(choose(len(video)))
    return time.perf_counter() - start


def summary(data: DatasetInfo, out: Path, rows: Mapping[str, Row], speeds: Speeds) -> str:
    """Return what came of it, for reading: sizes, decoding times, and what is broken."""
    fine = [row for row in rows.values() if row["problem"] is None]
    broken = [row for row in rows.values() if row["problem"] is not None]
    before, after = (sum(row[key] for row in fine) for key in ("before", "after"))
    said = [f"{data.name}: {len(rows):,} videos, {len(broken):,} broken, in {out}", ""]
    said.append(f"  size    {before / 1e9:.3g} GB -> {after / 1e9:.3g} GB")
    for budget, (old, new, ratio) in speeds.items():
        said.append(f"  {budget}  {old:.1f} ms -> {new:.1f} ms, {ratio:.1f} x as fast")
    said += [f"  left out: {row['name']}: {row['problem']}" for row in broken[:SHOWN]]
    if len(broken) > SHOWN:
        said.append(f"  and {len(broken) - SHOWN:,} more, see {out / LOG}")
    return "\n".join([*said, "", f"use it with data.root={out}"])
