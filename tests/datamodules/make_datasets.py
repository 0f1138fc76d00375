"""Write the files of datasets as their makers publish them, with classes that are made up.

A writer takes a folder and the numbers of training and test videos, which go round the classes. It
returns what a reader should find: the classes in their order, and (path, class number) per split.
The first video of a split is there, as an empty file; of the others there are only the names.
"""

import json
from collections.abc import Callable
from pathlib import Path

Found = tuple[list[str], dict[str, list[tuple[str, int]]]]
Writer = Callable[[Path, int, int], Found]


def names(count: int) -> list[str]:
    """Return class names with all that real ones have: spaces, capitals, brackets, apostrophes."""
    return [f"doing {i:03d} (not Person's, ü)" for i in range(count)]


def videos(root: Path, splits: dict[str, list[tuple[str, int]]]) -> None:
    """Write the first video of every split."""
    for listed in splits.values():
        if listed:
            first = root / listed[0][0]
            first.parent.mkdir(parents=True, exist_ok=True)
            first.touch()


def kinetics(count: int) -> Writer:
    """Return a writer of Kinetics with `count` classes."""

    def write(root: Path, train: int, test: int) -> Found:
        classes, splits = names(count), {}
        for split, folder, total in (("train", "train", train), ("test", "val", test)):
            rows, splits[split] = ["label,youtube_id,time_start,time_end,split"], []
            for i in range(total):
                video, start = f"-{i:09d}_", i % 300
                quoted = f'"{classes[i % count]}"'  # it has a comma
                rows.append(f"{quoted},{video},{start},{start + 10},{folder}")
                path = f"{folder}/{video}_{start:06d}_{start + 10:06d}.mp4"
                splits[split].append((path, i % count))
            (root / f"{folder}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        videos(root, splits)
        return classes, splits

    return write


def ssv2(root: Path, train: int, test: int) -> Found:
    # the numbers in labels.json are strings, and not in the order in which they stand
    classes = [f"Moving something number {i} from left to right" for i in range(174)]
    numbers = {name: str(i) for i, name in reversed(list(enumerate(classes)))}
    (root / "something-something-v2-labels.json").write_text(json.dumps(numbers))
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, name, total in (("train", "train", train), ("test", "validation", test)):
        items, splits[split] = [], []
        for i in range(total):
            template = f"Moving [something] number {i % 174} from left to right"
            items.append({"id": str(i), "label": "moving", "template": template})
            splits[split].append((f"20bn-something-something-v2/{i}.webm", i % 174))
        (root / f"something-something-v2-{name}.json").write_text(json.dumps(items))
    videos(root, splits)
    return classes, splits


def ucf101(root: Path, train: int, test: int, split: int = 1) -> Found:
    lists = root / "ucfTrainTestlist"
    lists.mkdir(exist_ok=True)
    classes = [f"Action{i:03d}" for i in range(101)]
    lines = [f"{i + 1} {name}" for i, name in enumerate(classes)]
    (lists / "classInd.txt").write_text("\r\n".join(lines) + "\r\n")
    splits: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for key, total in (("train", train), ("test", test)):
        lines = []
        for i in range(total):
            name = classes[i % 101]
            path = f"{name}/v_{name}_g{split:02d}_{key}{i}.avi"
            splits[key].append((f"UCF-101/{path}", i % 101))
            lines.append(f"{path} {i % 101 + 1}" if key == "train" else path)
        (lists / f"{key}list{split:02d}.txt").write_text("\r\n".join(lines) + "\r\n")
    videos(root, splits)
    return classes, splits


def hmdb51(root: Path, train: int, test: int, split: int = 1) -> Found:
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(exist_ok=True)
    classes = [f"act_{i:02d}" for i in range(51)]
    splits: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for label, name in enumerate(classes):
        lines = [f"unused_&_{name}.avi 0 "]
        for key, mark, total in (("train", 1, train), ("test", 2, test)):
            for i in range(label, total, 51):
                file = f"#{i}_[{key}]{split}_u_cm_np1.avi"
                lines.append(f"{file} {mark} ")
                splits[key].append((f"{name}/{file}", label))
        (lists / f"{name}_test_split{split}.txt").write_text("\n".join(lines) + "\n")
    videos(root, splits)
    return classes, splits


def diving48(root: Path, train: int, test: int) -> Found:
    dives = [["Back", f"{i}Som", "NoTwis", "PIKE"] for i in range(48)]
    (root / "Diving48_vocab.json").write_text(json.dumps(dives))
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, total in (("train", train), ("test", test)):
        items, splits[split] = [], []
        for i in range(total):
            name = f"_{split}_{i:05d}"
            items.append({"vid_name": name, "label": i % 48, "start_frame": 0, "end_frame": 9})
            splits[split].append((f"rgb/{name}.mp4", i % 48))
        (root / f"Diving48_V2_{split}.json").write_text(json.dumps(items))
    videos(root, splits)
    return [" ".join(dive) for dive in dives], splits


def jester(root: Path, train: int, test: int) -> Found:
    classes = [f"Swiping Left {i}" for i in range(27)]
    (root / "jester-v1-labels.csv").write_text("\n".join(classes) + "\n")
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, name, total in (("train", "train", train), ("test", "validation", test)):
        lines = [f"{i};{classes[i % 27]}" for i in range(total)]
        splits[split] = [(f"20bn-jester-v1/{i}", i % 27) for i in range(total)]
        (root / f"jester-v1-{name}.csv").write_text("\n".join(lines) + "\n")
    videos(root, splits)
    return classes, splits


WRITERS: dict[str, Writer] = {
    "kinetics400": kinetics(400),
    "kinetics600": kinetics(600),
    "kinetics700": kinetics(700),
    "ssv2": ssv2,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "diving48": diving48,
    "jester": jester,
}
