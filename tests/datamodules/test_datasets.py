"""Every dataset is read as its makers publish it; whatever is wrong is told in one line."""

import json
import os
from functools import partial
from importlib import import_module
from pathlib import Path

import make_datasets
import numpy as np
import pytest
from make_datasets import ENCODED, FRAMES, WRITERS, jpegs
from make_videos import greys, write

from benchmark import recipe, record
from benchmark.errors import UserError
from benchmark.lookup import find, names, parameters
from datamodules import _annotations as annotations
from datamodules.decoding.frames import open_video
from datamodules.epic_kitchens100 import epic_kitchens100
from datamodules.folder import folder
from datamodules.hmdb51 import hmdb51
from datamodules.kinetics400 import kinetics400
from datamodules.list import list as listed
from datamodules.ssv2 import ssv2
from datamodules.ucf101 import ucf101

PUBLISHED = list(WRITERS)  # the builtin: ours is imported under another name
FLIP = {"ssv2": "never", "jester": "never"}
OWN = {"epic_kitchens100": {"task": "verb"}}  # of its tasks, the one with few classes


def problem(function, **options):
    """Return what a dataset complains about: one line, always."""
    with pytest.raises(UserError) as caught:
        function(**options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def count(name, task="verb"):
    """Return how many classes a dataset has, of its tasks this one."""
    known = import_module(f"datamodules.{name}").CLASSES
    return known[task] if isinstance(known, dict) else known


def check(data, classes, splits):
    assert list(data.classes) == classes
    assert data.splits.keys() == splits.keys() == {"train", "test"}
    for key, wanted in splits.items():
        split = data.splits[key]
        assert sorted(zip(split.names(), split.labels.tolist(), strict=True)) == sorted(wanted)


def test_every_published_dataset_is_tested():
    own = {"digits_motion", "digits_identity", "folder", "list"}
    assert set(names("datamodules")) == own | set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_dataset_is_read_as_it_is_published(name, tmp_path):
    total = count(name, "action")
    classes, splits = WRITERS[name](tmp_path, 2 * total + 3, total)
    data = find("datamodules", name)(root=tmp_path, sizes="any")
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
        data = find("datamodules", name)(root=str(place), sizes="any")
        found.append([split.sha256() for split in data.splits.values()])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_size_is_named_with_the_ones_that_are_known(name, tmp_path):
    WRITERS[name](tmp_path, 1_411, 706)
    said = problem(find("datamodules", name), root=tmp_path)
    assert said.startswith(f"{name}: 1,411 and 706 videos of train and test")
    sizes = import_module(f"datamodules.{name}").SIZES
    for train, test in [sizes[1]] if isinstance(sizes, dict) else sizes:
        assert f"{train:,} and {test:,}" in said
    assert "data.sizes=any" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_size_that_is_known_passes(name, tmp_path):
    sizes = import_module(f"datamodules.{name}").SIZES
    for train, test in [sizes[1]] if isinstance(sizes, dict) else [min(sizes)]:
        WRITERS[name](tmp_path, train, test)
        data = find("datamodules", name)(root=tmp_path)
        assert [len(data.splits[key]) for key in ("train", "test")] == [train, test]


@pytest.mark.parametrize("name", [*PUBLISHED, "folder", "list"])
def test_a_missing_folder_is_told_with_what_it_should_hold(name, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RUNS", tmp_path)
    said = problem(find("datamodules", name))
    assert f"no folder {tmp_path}/data/{name}: data.root=DIR" in said and "with " in said
    assert f"no folder {tmp_path}/x" in problem(find("datamodules", name), root=tmp_path / "x")
    if name != "folder":  # it has no list of its own
        assert str(tmp_path) in problem(find("datamodules", name), root=tmp_path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_dataset_is_found_where_runs_work(name, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RUNS", tmp_path)
    place = tmp_path / "data" / name
    place.mkdir(parents=True)
    WRITERS[name](place, 700, 700)
    assert find("datamodules", name)(sizes="any").splits["test"].root == str(place)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_may_set_what_all_datasets_share(name):
    shared = {"root", "videos", "sizes", "shots", "shots_seed"}
    known = parameters("datamodules", name)
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
        said = problem(find("datamodules", name), root=tmp_path, sizes="any")
        assert file.name in said or (name == "hmdb51" and "50 classes" in said)
        file.write_bytes(text)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_that_is_none_is_named(name, tmp_path):
    WRITERS[name](tmp_path, 700, 700)
    for file in sorted(file for file in tmp_path.rglob("*") if file.suffix in (".csv", ".json")):
        text = file.read_bytes()
        for wrong in (b"\xff\xfe\x00", b"{", b'{"a": 1}', b"[[1], 2]", b"", b"one\nline"):
            file.write_bytes(wrong)
            said = problem(find("datamodules", name), root=tmp_path, sizes="any")
            assert str(tmp_path) in said or "data.videos" in said
        file.write_bytes(text)


@pytest.mark.parametrize("name", PUBLISHED)
def test_videos_that_are_elsewhere_are_noticed(name, tmp_path):
    _, splits = WRITERS[name](tmp_path, 700, 700)
    (tmp_path / splits["test"][0][0]).unlink()
    said = problem(find("datamodules", name), root=tmp_path, sizes="any")
    assert splits["test"][0][0] in said or splits["train"][0][0] in said
    assert "data.videos" in said


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_pattern_says_where_videos_lie(name, tmp_path):
    WRITERS[name](tmp_path, 700, 700)
    said = problem(find("datamodules", name), root=tmp_path, videos="{nothing}", sizes="any")
    assert "'{nothing}'" in said and "fields are {" in said
    (tmp_path / "here").touch()
    data = find("datamodules", name)(root=tmp_path, videos="here", sizes="any")
    assert data.splits["train"].path(0) == f"{tmp_path}/here"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("{id}", "{id}"),
        ("a/{youtube_id}_{time_start:06d}.mp4", "a/{youtube_id}_{time_start:06d}.mp4"),
        ("{participant_id}/{video_id}", "{participant_id}/{video_id}"),
        ("'{id}.mp4'", "{id}.mp4"),
        ("{-1: 1, 1: 2}", {-1: 1, 1: 2}),
        ("{a: 1}", {"a": 1}),
        ("a.mp4", "a.mp4"),
    ],
)
def test_a_pattern_may_be_typed_as_it_is(typed, value):
    assert recipe.parse(f"data.videos={typed}") == ("data.videos", value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_number_of_classes_is_a_mistake(name, tmp_path, monkeypatch):
    WRITERS[name](tmp_path, 710, 705)
    module = import_module(f"datamodules.{name}")
    there = count(name)
    monkeypatch.setattr(module, "CLASSES", {"verb": 7} if name in OWN else 7)
    said = problem(find("datamodules", name), root=tmp_path, sizes="any", **OWN.get(name, {}))
    assert f"there are {there} classes" in said and "not 7" in said


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_few_shots_of_every_class(name, tmp_path):
    total = count(name)
    WRITERS[name](tmp_path, 5 * total, total)
    read = partial(find("datamodules", name), root=tmp_path, sizes="any", **OWN.get(name, {}))
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
    read = partial(find("datamodules", name), root=tmp_path, sizes="any")
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


@pytest.fixture
def own(tmp_path):
    """Return a folder with videos of two classes."""
    for split in ("train", "test"):
        for label in ("zebra", "an ape"):
            place = tmp_path / split / label
            place.mkdir(parents=True)
            for name in ("b.mp4", "a.WEBM", ".c.mp4", "readme.txt"):
                (place / name).touch()
    return tmp_path


def test_a_folder_per_class(own):
    data = folder(root=own)
    assert data.classes == ("an ape", "zebra") and data.flip == "ok"
    assert list(data.splits["train"].names()) == [
        *("train/an ape/a.WEBM", "train/an ape/b.mp4"),
        *("train/zebra/a.WEBM", "train/zebra/b.mp4"),
    ]
    assert data.splits["test"].labels.tolist() == [0, 0, 1, 1]
    assert folder(root=own, flip="never").flip == "never"
    assert len(folder(root=own, shots=1).splits["train"]) == 2
    (own / "test").rename(own / "validation")
    assert f"no folder {own}/test: data.root=DIR holds train/CLASS" in problem(folder, root=own)
    assert len(folder(root=own, test="validation").splits["test"]) == 4
    (own / "validation" / "aple").mkdir()
    assert len(folder(root=own, test="validation").splits["test"]) == 4
    (own / "validation" / "aple" / "x.mp4").touch()
    said = problem(folder, root=own, test="validation")
    assert f"{own}/validation/aple: no class 'aple' in training" in said


def test_a_folder_of_frames_in_a_folder_per_class_is_a_video(own):
    (own / "train" / "zebra" / "c").mkdir()
    assert folder(root=own).splits["train"].name(4) == "train/zebra/c"


def test_a_class_without_a_training_video_is_a_mistake(own):
    (own / "train" / "cow").mkdir()
    (own / "train" / "cow" / "notes.txt").touch()
    said = problem(folder, root=own)
    assert f"{own}/train/cow: there is no video in it (" in said and ".mp4" in said


def test_links_are_followed(own, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (own / "train" / "zebra").rename(elsewhere / "zebra")
    (own / "train" / "zebra").symlink_to(elsewhere / "zebra")
    (own / "train" / "an ape" / "d.mp4").symlink_to(elsewhere / "zebra" / "b.mp4")
    train = folder(root=own).splits["train"]
    assert train.labels.tolist() == [0, 0, 0, 1, 1] and train.name(2) == "train/an ape/d.mp4"


def test_a_file_name_that_is_no_text_is_told(own):
    with open(os.fsencode(own) + b"/train/zebra/\xff.mp4", "w"):
        pass
    assert "udcff.mp4' is no UTF-8 text" in problem(folder, root=own)


LISTS = {
    "csv with a header": ("train.csv", "label,extra,path\n{1},x,{0}\n{3},y,{2}\n"),
    "csv without": ("train.csv", "{0},{1}\n{2},{3}\n"),
    "csv with semicolons": ("train.csv", "{0};{1}\n{2};{3}"),
    "csv in quotes": ("train.csv", 'path,label\n"{0}","{1}"\r\n"{2}","{3}"\r\n'),
    "csv from a spreadsheet": ("train.csv", "\ufeffpath,label\r\n{0},{1}\r\n{2},{3}\r\n"),
    "lines": ("train.txt", "{0} {1}\n\n{2} {3}\n"),
    "lines with tabs": ("train.txt", "{0}\t{1}\n{2}\t{3}\n"),
    "lines called csv": ("train.csv", "{0} {1}\n{2} {3}\n"),
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("labels", [("zebra", "ape"), ("1", "0")])
def test_lists_of_all_kinds(form, labels, own):
    name, text = LISTS[form]
    paths = ("train/zebra/b.mp4", "train/an ape/b.mp4")
    (own / name).write_text(text.format(paths[0], labels[0], paths[1], labels[1]))
    data = listed(root=own, train=name, test=str(own / name))
    assert data.classes == tuple(sorted(labels))
    for split in data.splits.values():
        assert list(split.names()) == [*paths] and split.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["2", "0"], ("0", "1", "2")),
        (["07", "7"], ("07", "7")),
        (["10000000000", "0"], ("0", "10000000000")),
        (["²", "1"], ("1", "²")),
        (["1", "one"], ("1", "one")),
    ],
)
def test_labels_that_are_all_numbers_number_classes(labels, classes, own):
    (own / "list.txt").write_text("".join(f"train/zebra/b.mp4 {label}\n" for label in labels))
    data = listed(root=own, train="list.txt", test="list.txt")
    assert data.classes == classes
    assert [classes[label] for label in data.splits["train"].labels] == labels


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("names.txt", "ape\nzebra\nunicorn\n"),
        ("names.json", json.dumps(["ape", "zebra", "unicorn"])),
        ("names.json", json.dumps({"unicorn": 2, "zebra": "1", "ape": 0})),
    ],
)
@pytest.mark.parametrize("labels", [("zebra", "ape"), ("1", "0")])
def test_a_class_file_names_and_orders_classes(file, text, labels, own):
    (own / file).write_text(text)
    (own / "list.csv").write_text(f"train/zebra/b.mp4,{labels[0]}\ntrain/an ape/b.mp4,{labels[1]}")
    data = listed(root=own, train="list.csv", test="list.csv", classes=file)
    assert data.classes == ("ape", "zebra", "unicorn")
    assert data.splits["train"].labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("classes", "text", "wrong"),
    [
        ("ape\nape\n", "a.mp4 0", "'ape' stands in it twice"),
        ("ape\nzebra\n", "a.mp4 0\n\na.mp4 2", "list.txt:3: no class 2, there are 0 to 1"),
        ("ape\nzebra\n", "a.mp4 -1", "no class -1"),
        ("ape\nzebra\n", "a.mp4 zebr", "no class 'zebr'; did you mean 'zebra'?"),
        ("ape\nzebra\n", "a.mp4", "list.txt:1: 'a.mp4' has no label"),
        ("ape\nzebra\n", "", "list.txt: there is no row in it"),
    ],
)
def test_a_wrong_list_is_told(classes, text, wrong, tmp_path):
    (tmp_path / "names").write_text(classes)
    (tmp_path / "a.mp4").touch()
    (tmp_path / "list.txt").write_text(text)
    options = {"train": "list.txt", "test": "list.txt", "classes": "names"}
    assert wrong in problem(listed, root=tmp_path, **options)


@pytest.mark.parametrize("text", ['{"ape": 0, "zebra": 2}', '{"ape": "x"}', '"ape"', "[", "{}"])
def test_a_wrong_class_file_is_told(text, tmp_path):
    (tmp_path / "names.json").write_text(text)
    (tmp_path / "list.txt").write_text("a.mp4 0")
    options = {"train": "list.txt", "test": "list.txt", "classes": "names.json"}
    assert str(tmp_path) in problem(listed, root=tmp_path, **options)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("path,label\n", "list.csv: there is no row in it"),
        ("path,label\na.mp4,1\n,1\n", "list.csv:3: '1' has no path"),
        ("a.mp4,1\nb.mp4, \n", "list.csv:2: 'b.mp4' has no label"),
        ("\na.mp4,1\n\n\nb.mp4\n", "list.csv:5: 'b.mp4' has no label"),
    ],
)
def test_a_row_that_lacks_something_is_told(text, wrong, own):
    (own / "list.csv").write_text(text)
    assert wrong in problem(listed, root=own, train="list.csv", test="list.csv")


def test_a_quote_that_is_never_closed_is_told(own):
    (own / "list.csv").write_text('path,label\na.mp4,1\n"b.mp4,1\nc.mp4,1\n')
    said = problem(listed, root=own, train="list.csv", test="list.csv")
    assert "list.csv:3: unexpected end of data" in said
