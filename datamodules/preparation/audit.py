"""Look at every video of a dataset before it is trained on, and keep what was found.

The manifest, `RUNS/audit/<data>-<key of the root>.jsonl`, has a row for each file, whatever splits
list it: name, size, changed, problem, frames, seconds, fps, width, height, codec.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules import files
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.decoding.ffmpeg import open_file, video_stream
from datamodules.decoding.open import open_video
from datamodules.decoding.reading import read_video
from datamodules.decoding.video import RandomAccessVideo
from datamodules.preparation.resumable import Row, for_each_file, read

SHOWN = 20  # broken videos that are listed; the manifest has them all


def audit(data: DatasetInfo, *, workers: int) -> dict[str, Row]:
    """Decode the first and the last frame of every video, and return a row for each by its name.

    Typed again it goes on where it was stopped, and looks again at files that have changed.

    Raises:
        UserError: Another process audits these videos, or the manifest cannot be written.
    """
    root = data.splits["train"].root
    names = (name for split in data.splits.values() for name in split.names())
    log, title = manifest(data.name, root), f"audit of {data.name}"
    return for_each_file(root, names, log, partial(look, root), title=title, workers=workers)


def look(root: str, name: str) -> dict[str, Any]:
    """Return what a video is, its first and last frame having been decoded.

    Raises:
        DecodeError: It is broken.
        ReadError: The machine does not deliver it.
    """
    path = os.path.join(root, name)
    folder = os.path.isdir(path)

    def take(video: RandomAccessVideo) -> dict[str, Any]:
        frames, seconds = len(video), float(video.times[-1])
        height, width = video.frames([0, frames - 1]).shape[1:3]
        found = {"frames": frames, "seconds": round(float(video.duration), 3)}
        fps = None if folder or not seconds else round((frames - 1) / seconds, 3)  # it has none
        return {**found, "fps": fps, "width": width, "height": height}

    return {**read_video(path, partial(open_video, path), take), "codec": codec(path)}


def codec(path: str) -> str:
    """Return how a video that can be read is coded."""
    if os.path.isdir(path):
        return "pictures"
    with open_file(path) as container:
        return str(video_stream(container, path).codec_context.name)


def manifest(name: str, root: str) -> Path:
    """Return where the manifest of the videos of dataset `name` in `root` lies."""
    key = hashlib.sha256(str(Path(root).resolve()).encode()).hexdigest()[:12]
    return files.RUNS / "audit" / f"{name}-{key}.jsonl"


def known_broken(split: Split, name: str) -> NDArray[np.bool_] | None:
    """Return which videos of a split the manifest of dataset `name` says are broken.

    What it says is believed: no video is touched. One that it does not list is not known to be.

    Returns:
        An array (N,), or None where there is no manifest.
    """
    log = manifest(name, split.root)
    if not log.exists():
        return None
    broken = {row["name"] for row in read(log, broken=True)}
    if not broken:
        return np.zeros(len(split), bool)
    return np.fromiter((each in broken for each in split.names()), bool, len(split))


def summary(data: DatasetInfo, rows: Mapping[str, Row]) -> str:
    """Return what an audit has found, for reading."""
    broken = [row for row in rows.values() if row["problem"] is not None]
    fine = [row for row in rows.values() if row["problem"] is None]
    said = [f"{data.name}: {len(rows):,} videos, {len(broken):,} broken", ""]
    for split, listed in data.splits.items():
        count = sum(rows[name]["problem"] is not None for name in listed.names())
        said.append(f"  {split:<12}{len(listed):>10,}   {count:,} broken")
    if fine:
        said += ["", *spreads(fine)]
        codecs = Counter(row["codec"] for row in fine).most_common()
        said.append(f"  codec       {', '.join(f'{name} {count:,}' for name, count in codecs)}")
    if broken:
        kinds = Counter(re.sub(r"\d+", "#", row["problem"]) for row in broken).most_common()
        said += ["", *(f"  {count:>8,}  {kind}" for kind, count in kinds[:SHOWN])]
        said += ["", *(f"  {row['name']}: {row['problem']}" for row in broken[:SHOWN])]
        if len(broken) > SHOWN:
            said.append(f"  and {len(broken) - SHOWN:,} more")
    root = data.splits["train"].root
    return "\n".join([*said, "", f"see {files.display_path(manifest(data.name, root))}"])


def spreads(rows: Sequence[Row]) -> list[str]:
    """Return a table of how long, fast and large videos are."""
    columns = {
        "frames": [row["frames"] for row in rows],
        "fps": [row["fps"] for row in rows if row["fps"]],
        "seconds": [row["seconds"] for row in rows],
        "short side": [min(row["width"], row["height"]) for row in rows],
    }
    table = [f"  {'':<12}{'least':>10}{'median':>10}{'most':>10}"]
    for title, values in columns.items():
        if values:
            of = (min(values), median(values), max(values))
            table.append(f"  {title:<12}{''.join(f'{each:>10,.6g}' for each in of)}")
    return table
