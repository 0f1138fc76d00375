"""Every dataset is read as its makers publish it; whatever is wrong is told in one line."""

import json
from functools import partial
from importlib import import_module
from pathlib import Path

import make_datasets
import numpy as np
import pytest
from make_datasets import ENCODED, FRAMES, WRITERS, jpegs, problem
from make_videos import greys, write

from benchmark.lookup import find, names, parameters
from benchmark.recipes.override import parse
from datamodules import files
from datamodules.datasets import _annotations as annotations
from datamodules.datasets.epic_kitchens100 import epic_kitchens100
from datamodules.datasets.hmdb51 import hmdb51
from datamodules.datasets.kinetics400 import kinetics400
from datamodules.datasets.ssv2 import ssv2
from datamodules.datasets.ucf101 import ucf101
from datamodules.decoding.open import open_video

PUBLISHED = list(WRITERS)  # the builtin: ours is imported under another name
FLIP = {"ssv2": "never", "jester": "never"}
OWN = {"epic_kitchens100": {"task": "verb"}}  # of its tasks, the one with few classes


def count(name, task="verb"):
    """Return how many classes a dataset has, of its tasks this one."""
    known = import_module(f"datamodules.datasets.{name}").CLASSES
    return known[task] if isinstance(known, dict) else known


def check(data, classes, splits):
    assert list(data.classes) == classes
    assert data.splits.keys() == splits.keys() == {"train", "test"}
    for key, wanted in splits.items():
        split = data.splits[key]
        assert sorted(zip(split.names(), split.labels.tolist(), strict=True)) == sorted(wanted)


def test_every_published_dataset_is_tested():
    own = {"digits_motion", "digits_identity", "folder", "file_list"}
    assert set(names("datamodules.datasets")) == own | set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_dataset_is_read_as_it_is_published(name, tmp_path):
    total = count(name, "action")
    classes, splits = WRITERS[name](tmp_path, 2 * total + 3, total)
    data = find("datamodules.datasets", name)(root=tmp_path, sizes="any")
    assert data.name == name and len(data.classes) == total
    assert data.flip == FLIP.get(name, "ok") and data.swaps == ()
    assert data.order_blind_ceiling is None and data.chosen is None
    check(data, classes, splits)
    train = data.splits["train"]
    assert train.path(0) == f"{tmp_path}/{train.name(0)}"
    assert data.splits["train"].sha256() != data.splits["test"].sha256()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_checksum_does_not_depend_on_the_place(name, tmp_path):
    found = []
    for place in (tmp_path / "a", tmp_path / "b"):
        place.mkdir()
        WRITERS[name](place, 710, 705)
        data = find("datamodules.datasets", name)(root=str(place), sizes="any")
        found.append([split.sha256() for split in data.splits.values()])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_size_is_named_with_the_ones_that_are_known(name, tmp_path):
    WRITERS[name](tmp_path, 1_411, 706)
    said = problem(find("datamodules.datasets", name), root=tmp_path)
    assert said.startswith(f"{name}: 1,411 and 706 videos of train and test")
    sizes = import_module(f"datamodules.datasets.{name}").SIZES
    for train, test in [sizes[1]] if isinstance(sizes, dict) else sizes:
        assert f"{train:,} and {test:,}" in said
    assert "data.sizes=any" in said


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_size_that_is_known_passes(name, tmp_path, monkeypatch):
    module = import_module(f"datamodules.datasets.{name}")
    real = module.SIZES
    assert all(train > test > 1_000 for train, test in _pairs(real))
    pairs = [(1_413 + 2 * i, 706 + i) for i in range(len(real))]  # as many, quicker to write
    known = dict(zip(real, pairs, strict=True)) if isinstance(real, dict) else tuple(pairs)
    monkeypatch.setattr(module, "SIZES", known)
    train, test = pairs[0] if isinstance(real, dict) else pairs[-1]  # of the first of its lists
    read = partial(find("datamodules.datasets", name), root=tmp_path, **OWN.get(name, {}))
    WRITERS[name](tmp_path, train, test)
    assert [len(read().splits[key]) for key in ("train", "test")] == [train, test]
    WRITERS[name](tmp_path, train, test - 1)
    said = problem(read)
    assert said.startswith(f"{name}: {train:,} and {test - 1:,} videos of train and test")


def _pairs(sizes):
    return sizes.values() if isinstance(sizes, dict) else sizes


@pytest.mark.parametrize("name", [*PUBLISHED, "folder", "file_list"])
def test_a_missing_folder_is_told_with_what_it_should_hold(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RUNS", tmp_path)
    said = problem(find("datamodules.datasets", name))
    assert f"no folder {tmp_path}/data/{name}: data.root=DIR" in said and "with " in said
    assert f"no folder {tmp_path}/x" in problem(
        find("datamodules.datasets", name), root=tmp_path / "x"
    )
    if name != "folder":  # it has no list of its own
        assert str(tmp_path) in problem(find("datamodules.datasets", name), root=tmp_path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_dataset_is_found_where_runs_work(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RUNS", tmp_path)
    place = tmp_path / "data" / name
    place.mkdir(parents=True)
    WRITERS[name](place, 700, 700)
    assert find("datamodules.datasets", name)(sizes="any").splits["test"].root == str(place)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_may_set_what_all_datasets_share(name):
    shared = {"root", "videos", "sizes", "shots", "shots_seed", "fraction", "fraction_seed"}
    known = parameters("datamodules.datasets", name)
    assert shared <= known.keys()
    assert known["sizes"] == "Literal['known', 'any']" and known["shots"] == "int | None"


@pytest.mark.parametrize("name", PUBLISHED)
def test_any_file_that_is_missing_is_named(name, tmp_path):
    WRITERS[name](tmp_path, 700, 700)
    suffixes = (".csv", ".json", ".txt")
    files = sorted(file for file in tmp_path.rglob("*") if file.suffix in suffixes)
    assert len(files) >= 2
    for file in files[:4]:
        text = file.read_bytes()
        file.unlink()
        said = problem(find("datamodules.datasets", name), root=tmp_path, sizes="any")
        assert file.name in said or (name == "hmdb51" and "50 classes" in said)
        file.write_bytes(text)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_that_is_none_is_named(name, tmp_path):
    WRITERS[name](tmp_path, 700, 700)
    for file in sorted(file for file in tmp_path.rglob("*") if file.suffix in (".csv", ".json")):
        text = file.read_bytes()
        for wrong in (b"\xff\xfe\x00", b"{", b'{"a": 1}', b"[[1], 2]", b"", b"one\nline"):
            file.write_bytes(wrong)
            said = problem(find("datamodules.datasets", name), root=tmp_path, sizes="any")
            assert str(tmp_path) in said or "data.videos" in said
        file.write_bytes(text)


@pytest.mark.parametrize("name", PUBLISHED)
def test_videos_that_are_elsewhere_are_noticed(name, tmp_path):
    _, splits = WRITERS[name](tmp_path, 700, 700)
    (tmp_path / splits["test"][0][0]).unlink()
    said = problem(find("datamodules.datasets", name), root=tmp_path, sizes="any")
    assert splits["test"][0][0] in said or splits["train"][0][0] in said
    assert "data.videos" in said


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_pattern_says_where_videos_lie(name, tmp_path):
    WRITERS[name](tmp_path, 700, 700)
    said = problem(
        find("datamodules.datasets", name), root=tmp_path, videos="{nothing}", sizes="any"
    )
    assert "'{nothing}'" in said and "fields are {" in said
    (tmp_path / "here").touch()
    data = find("datamodules.datasets", name)(root=tmp_path, videos="here", sizes="any")
    assert data.splits["train"].path(0) == f"{tmp_path}/here"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("{id}", "{id}"),
        ("a/{youtube_id}_{time_start:06d}.mp4", "a/{youtube_id}_{time_start:06d}.mp4"),
        ("{participant_id}/{video_id}", "{participant_id}/{video_id}"),
        ("'{id}.mp4'", "{id}.mp4"),
        ("a.mp4", "a.mp4"),
    ],
)
def test_a_pattern_may_be_typed_as_it_is(typed, value):
    kinds = {"data.videos": "str | None"}
    assert parse(f"data.videos={typed}", kinds) == ("data.videos", value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_number_of_classes_is_a_mistake(name, tmp_path, monkeypatch):
    WRITERS[name](tmp_path, 710, 705)
    module = import_module(f"datamodules.datasets.{name}")
    there = count(name)
    monkeypatch.setattr(module, "CLASSES", {"verb": 7} if name in OWN else 7)
    said = problem(
        find("datamodules.datasets", name), root=tmp_path, sizes="any", **OWN.get(name, {})
    )
    assert f"there are {there} classes" in said and "not 7" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_few_shots_of_every_class(name, tmp_path):
    total = count(name)
    WRITERS[name](tmp_path, 5 * total, total)
    read = partial(
        find("datamodules.datasets", name), root=tmp_path, sizes="any", **OWN.get(name, {})
    )
    whole = read()
    chosen = {}
    for shots, seed in ((2, 0), (3, 0), (3, 1)):
        data = read(shots=shots, shots_seed=seed)
        train = data.splits["train"]
        assert np.bincount(train.labels).tolist() == [shots] * total
        assert train.sha256() == whole.splits["train"].select(data.chosen).sha256()
        assert data.splits["test"].sha256() == whole.splits["test"].sha256()
        assert data.chosen == read(shots=shots, shots_seed=seed).chosen
        chosen[shots, seed] = set(data.chosen)
    assert chosen[2, 0] < chosen[3, 0] != chosen[3, 1]
    said = problem(read, shots=6)
    assert "data.shots=6" in said and "has 5 videos" in said
    assert "data.shots" in problem(read, shots=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_encoded_videos_and_folders_of_frames_are_read_alike(name, tmp_path, monkeypatch):
    WRITERS[name](tmp_path, 705, 705)
    read = partial(find("datamodules.datasets", name), root=tmp_path, sizes="any")
    lengths = []
    for pattern in (ENCODED.get(name), FRAMES[name]):
        own = {} if pattern is None else {"videos": pattern}
        with monkeypatch.context() as patch:
            patch.setattr(annotations, "_look", lambda *_: None)  # nothing is there yet
            wanted = [Path(split.path(0)) for split in read(**own).splits.values()]
        for place in dict.fromkeys(wanted):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            if pattern == FRAMES[name]:
                jpegs(place, 6)
            elif place.suffix == ".webm":
                write(place, greys(6), "libvpx-vp9", "yuv420p", lossless="1")
            else:
                write(place, greys(6))
        for split in read(**own).splits.values():
            with open_video(split.path(0)) as video:
                levels = video.frames(range(6)).mean((1, 2, 3)).round()
                assert levels.tolist() == pytest.approx([*range(6)], abs=1)
                lengths.append(len(video))
    assert lengths == [6] * 4


@pytest.mark.parametrize("write", [make_datasets.ucf101, make_datasets.hmdb51])
def test_there_are_three_splits(write, tmp_path):
    read = {"ucf101": ucf101, "hmdb51": hmdb51}[write.__name__]
    found = {split: write(tmp_path, 303, 202, split) for split in (1, 2, 3)}
    for split, (classes, splits) in found.items():
        check(read(root=tmp_path, split=split, sizes="any"), classes, splits)
    assert "1, 2 or 3, not 4" in problem(read, root=tmp_path, split=4)


def test_a_video_of_hmdb_has_one_of_three_marks(tmp_path):
    make_datasets.hmdb51(tmp_path, 102, 51)
    file = tmp_path / "testTrainMulti_7030_splits" / "act_07_test_split1.txt"
    file.write_text(file.read_text() + "odd.avi 3\n")
    assert f"{file}:5: odd.avi is marked 3" in problem(hmdb51, root=tmp_path, sizes="any")


def test_flipped_videos_of_ssv2_may_swap_labels(tmp_path):
    classes, _ = make_datasets.ssv2(tmp_path, 174, 174)
    data = ssv2(root=tmp_path, sizes="any", flip="swap")
    assert data.flip == "swap" and data.swaps == ((86, 87), (93, 94), (166, 167))
    for one, other in data.swaps:
        assert classes[one] != classes[other]
        assert sorted(classes[one].split()) == sorted(classes[other].split()) or one == 166
    labels = tmp_path / "something-something-v2-labels.json"
    numbers = json.loads(labels.read_text())
    numbers[classes[93]], numbers[classes[95]] = numbers[classes[95]], numbers[classes[93]]
    labels.write_text(json.dumps(numbers))
    assert "93 and 94 do not mirror" in problem(ssv2, root=tmp_path, sizes="any", flip="swap")
    assert ssv2(root=tmp_path, sizes="any").swaps == ()


@pytest.mark.parametrize("task", ["verb", "noun", "action"])
def test_a_task_of_epic_kitchens_is_numbered_alike_everywhere(task, tmp_path):
    classes, splits = make_datasets.epic(tmp_path, 400, 300)
    data = epic_kitchens100(root=tmp_path, task=task, sizes="any")
    keys = {kind: [f"{kind}:{i}" for i in range(n)] for kind, n in (("verb", 97), ("noun", 300))}
    assert list(data.classes) == {**keys, "action": classes}[task]
    for split, wanted in splits.items():
        words = [classes[label].split() for _, label in wanted]
        named = {"verb": 0, "noun": 1}
        own = [word[named[task]] if task in named else " ".join(word) for word in words]
        assert [data.classes[label] for label in data.splits[split].labels] == own


def test_a_part_of_a_video_of_epic_kitchens_is_what_its_pattern_says(tmp_path):
    make_datasets.epic(tmp_path, 400, 300)
    read = partial(epic_kitchens100, root=tmp_path, sizes="any")
    assert read().splits["test"].segment(7) == (7.5, 9.5)
    for place in ("P01/rgb_frames/P01_00", "clips/P01_00_0"):
        jpegs(tmp_path / place, 1)
    numbered = read(videos="{participant_id}/rgb_frames/{video_id}").splits["test"]
    assert numbered.segment(7) == (374 / 25, 475 / 25)  # from 1: frames 375 to 475
    assert read(videos="clips/{narration_id}").splits["test"].segment(7) is None
    file = tmp_path / "epic-kitchens-100-annotations" / "EPIC_100_train.csv"
    text = file.read_text()
    for wrong, said in [
        ('"7.50","00:00:09.50","375","475"', "'7.50' is no start_timestamp"),
        ('"00:00:07.50","00:00:01","375","475"', "its start_timestamp lies behind its stop"),
        ('"00:00:07.50","00:00:09.50","x","475"', "'x' is no start_frame"),
    ]:
        file.write_text(text.replace('"00:00:07.50","00:00:09.50","375","475"', wrong))
        assert problem(read).startswith(f"{file}:9: {said}")


def write_lists(root, form, labels):
    root.mkdir(exist_ok=True)
    for split, total in (("train", 800), ("val", 400)):
        lines = [form.format(path=f"{split}/a {i}.mp4", label=labels(i)) for i in range(total)]
        (root / f"{split}.csv").write_text("\n".join(lines))
        (root / split).mkdir(exist_ok=True)
        (root / split / "a 0.mp4").touch()


@pytest.mark.parametrize("form", ["{path} {label}", "{path},{label}"])
def test_kinetics_is_read_from_lists_of_paths(form, tmp_path):
    write_lists(tmp_path, form, lambda i: i % 400)
    data = kinetics400(root=tmp_path, sizes="any")
    assert data.classes == tuple(map(str, range(400)))
    assert data.splits["train"].name(401) == "train/a 401.mp4"
    assert data.splits["train"].label(401) == 1
    (tmp_path / "classes.txt").write_text("\n".join(f"name {i}" for i in range(400)))
    named = kinetics400(root=tmp_path, sizes="any")
    assert named.classes[7] == "name 7"
    assert named.splits["test"].sha256() == data.splits["test"].sha256()
    (tmp_path / "train.csv").rename(tmp_path / "mine.txt" if " " in form else tmp_path / "m.csv")
    mine = "mine.txt" if " " in form else "m.csv"
    assert len(kinetics400(root=tmp_path, train=mine, sizes="any").splits["train"]) == 800
    assert "no other.txt" in problem(kinetics400, root=tmp_path, train=mine, test="other.txt")


def test_a_pattern_knows_all_of_an_official_row(tmp_path):
    classes, _ = make_datasets.kinetics(400)(tmp_path, 400, 400)
    for split in ("train", "val"):
        place = tmp_path / f"{split}_256" / classes[0]
        place.mkdir(parents=True)
        (place / "-000000000_.mp4").touch()
    data = kinetics400(root=tmp_path, videos="{split}_256/{label}/{youtube_id}.mp4", sizes="any")
    assert data.splits["test"].name(1) == f"val_256/{classes[1]}/-000000001_.mp4"


def test_a_test_label_that_training_does_not_know_is_a_mistake(tmp_path):
    write_lists(tmp_path, "{path} {label}", lambda i: i % 400)
    with (tmp_path / "val.csv").open("a") as file:
        file.write("\nval/b.mp4 400")
    said = problem(kinetics400, root=tmp_path, sizes="any")
    assert "val.csv:401: no class 400, there are 0 to 399" in said
