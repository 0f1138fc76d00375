"""Write the files of datasets as their makers publish them, with classes that are made up.

A writer takes a folder and the numbers of training and test videos, which go round the classes. It
returns what a reader should find: the classes in their order, and (path, class number) per split.
The first video of a split is there, as an empty file; of the others there are only the names.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from benchmark.errors import UserError

Found = tuple[list[str], dict[str, list[tuple[str, int]]]]
Writer = Callable[[Path, int, int], Found]


def names(count: int) -> list[str]:
    """Return class names with all that real ones have: spaces, capitals, brackets, apostrophes."""
    return [f"doing {i:03d} (not Person's, ü)" for i in range(count)]


def problem(function: Callable[..., object], **options: object) -> str:
    """Return what a reader complains about: one line, always."""
    with pytest.raises(UserError) as caught:
        function(**options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def videos(root: Path, splits: dict[str, list[tuple[str, int]]]) -> None:
    """Write the first video of every split."""
    for listed in splits.values():
        if listed:
            first = root / listed[0][0]
            first.parent.mkdir(parents=True, exist_ok=True)
            first.touch()


def jpegs(folder: Path, count: int) -> None:
    """Write a folder of frames, numbered from 1; the grey level of each is its place, from 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for level in range(count):
        Image.new("RGB", (64, 48), (level,) * 3).save(folder / f"frame_{level + 1:010d}.jpg")


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


SIDES = {  # the official names of the classes of SSv2 that a flip turns into each other
    86: "Pulling something from left to right",
    87: "Pulling something from right to left",
    93: "Pushing something from left to right",
    94: "Pushing something from right to left",
    166: "Turning the camera left while filming something",
    167: "Turning the camera right while filming something",
}


def ssv2(root: Path, train: int, test: int) -> Found:
    # the numbers in labels.json are strings, and not in the order in which they stand
    classes = [SIDES.get(i, f"Moving something number {i}") for i in range(174)]
    numbers = {name: str(i) for i, name in reversed(list(enumerate(classes)))}
    (root / "something-something-v2-labels.json").write_text(json.dumps(numbers))
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, name, total in (("train", "train", train), ("test", "validation", test)):
        items, splits[split] = [], []
        for i in range(total):
            template = classes[i % 174].replace("something", "[something]")
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


def epic(root: Path, train: int, test: int) -> Found:
    """Write EPIC-Kitchens-100, its 3,806 actions: row i shows verb i % 97 and noun i % 300."""
    lists = root / "epic-kitchens-100-annotations"
    lists.mkdir(exist_ok=True)
    words = {kind: [f"{kind}:{i}" for i in range(n)] for kind, n in (("verb", 97), ("noun", 300))}
    for kind, keys in words.items():
        rows = [f"""{i},{key},"['{key}', 'a']",some""" for i, key in enumerate(keys)]
        text = "\n".join(["id,key,instances,category", *rows])
        (lists / f"EPIC_100_{kind}_classes.csv").write_text(text)
    pairs = sorted({(i % 97, i % 300) for i in range(min(3806, max(train, test)))})
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, name, total in (("train", "train", train), ("test", "validation", test)):
        rows, splits[split] = [",".join(EPIC)], []
        for i in range(total):
            start, verb, noun = i % 7000, i % 3806 % 97, i % 3806 % 300
            video = f"P01_{i % 3:02d}"
            times = [
                f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}.50" for s in (start, start + 2)
            ]
            frames = [50 * start + 25, 50 * start + 125]
            what = ["open, then close", "open", verb, "door", noun, "['door']", [noun]]
            row = [f"{video}_{i}", "P01", video, "00:00:01.089", *times, *frames, *what]
            rows.append(",".join(f'"{each}"' for each in row))
            splits[split].append((f"P01/videos/{video}.MP4", pairs.index((verb, noun))))
        (lists / f"EPIC_100_{name}.csv").write_text("\n".join(rows) + "\n")
    videos(root, splits)
    return [f"{words['verb'][verb]} {words['noun'][noun]}" for verb, noun in pairs], splits


EPIC = (
    *("narration_id", "participant_id", "video_id", "narration_timestamp"),
    *("start_timestamp", "stop_timestamp", "start_frame", "stop_frame"),
    *("narration", "verb", "verb_class", "noun", "noun_class", "all_nouns", "all_noun_classes"),
)

WRITERS: dict[str, Writer] = {
    "kinetics400": kinetics(400),
    "kinetics600": kinetics(600),
    "kinetics700": kinetics(700),
    "ssv2": ssv2,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "diving48": diving48,
    "jester": jester,
    "epic_kitchens100": epic,
}

# data.videos of copies that are folders of frames, and of copies that are encoded
FRAMES = {
    "kinetics400": "frames/{label}/{youtube_id}",
    "kinetics600": "frames/{label}/{youtube_id}",
    "kinetics700": "frames/{label}/{youtube_id}",
    "ssv2": "frames/{id}",
    "ucf101": "frames/{stem}",
    "hmdb51": "frames/{label}/{stem}",
    "diving48": "frames/{id}",
    "jester": "20bn-jester-v1/{id}",
    "epic_kitchens100": "{participant_id}/rgb_frames/{video_id}",
}
ENCODED = {"jester": "videos/{id}.mp4"}  # of the others it is the default
