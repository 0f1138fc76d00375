"""Look at every video of a dataset before it is trained on, and keep what was found.

The manifest, `RUNS/audit/<data>-<key of the root>.jsonl`, has a row for each file, whatever splits
list it: name, size, changed, problem, frames, seconds, fps, width, height, codec, content.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from datamodules.shards.paths import entries, is_folder, opened

SHOWN = 20  # broken videos that are listed; the manifest has them all
ENDS = 2**16  # bytes at the beginning and at the end of a file that tell copies


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
    folder = is_folder(path)

    def take(video: RandomAccessVideo) -> dict[str, Any]:
        frames, seconds = len(video), float(video.times[-1])
        height, width = video.frames([0, frames - 1]).shape[1:3]
        found = {"frames": frames, "seconds": round(float(video.duration), 3)}
        fps = None if folder or not seconds else round((frames - 1) / seconds, 3)  # it has none
        return {**found, "fps": fps, "width": width, "height": height}

    found = read_video(path, partial(open_video, path), take)
    return {**found, "codec": codec(path), "content": content(path)}


def content(path: str) -> str:
    """Return a checksum of a video's size, beginning and end, which copies share.

    Of a folder of pictures: of their number, and of the first and the last one.
    """
    pictures = entries(path) if is_folder(path) else []
    files_ = [os.path.join(path, each) for each in (pictures[:1] + pictures[-1:])] or [path]
    digest = hashlib.sha256(f"{len(pictures)}".encode())
    for each in files_:
        with opened(each) as stream:
            size = stream.seek(0, os.SEEK_END)
            digest.update(f" {size} ".encode())
            for start in (0, max(0, size - ENDS)):
                stream.seek(start)
                digest.update(stream.read(ENDS))
    return digest.hexdigest()[:32]


def codec(path: str) -> str:
    """Return how a video that can be read is coded."""
    if is_folder(path):
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


def shared_content(data: DatasetInfo) -> list[int] | None:
    """Return which videos of the evaluation split are the same as one of train, by an audit.

    The same is a copy under any name, or the same part of one. What the manifest does not list is
    not known to be.

    Returns:
        Indices within the split, or None where there is no manifest that tells.
    """
    train, tested = data.splits["train"], data.splits[data.evaluation_split]
    contents = {row["name"]: row.get("content") for row in read(manifest(data.name, train.root))}
    if not any(contents.values()):
        return None

    def keys(split: Split) -> Iterator[tuple[Any, tuple[float, float] | None]]:
        for index, name in enumerate(split.names()):
            yield contents.get(name), split.segment(index)

    trained = {key for key in keys(train) if key[0]}
    return [index for index, key in enumerate(keys(tested)) if key in trained]


def summary(data: DatasetInfo, rows: Mapping[str, Row]) -> str:
    """Return what an audit has found, for reading."""
    broken = [row for row in rows.values() if row["problem"] is not None]
    fine = [row for row in rows.values() if row["problem"] is None]
    said = [f"{data.name}: {len(rows):,} videos, {len(broken):,} broken", ""]
    for split, listed in data.splits.items():
        count = sum(rows[name]["problem"] is not None for name in listed.names())
        said.append(f"  {split:<12}{len(listed):>10,}   {count:,} broken")
    if copies := shared_content(data):
        tested = data.splits[data.evaluation_split]
        said.append(
            f"  {len(copies):,} of {len(tested):,} {data.evaluation_split} videos are the same as "
            f"a training video, such as {tested.name(copies[0])}"
        )
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
