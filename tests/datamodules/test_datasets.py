"""Every dataset is read as its makers publish it; whatever is wrong is told in one line."""

import json
import os
import time
from importlib import import_module

import make_datasets
import numpy as np
import pytest
from make_datasets import WRITERS

from benchmark import record
from benchmark.errors import UserError
from benchmark.lookup import find, names
from datamodules.folder import folder
from datamodules.hmdb51 import hmdb51
from datamodules.kinetics400 import kinetics400
from datamodules.list import list as listed
from datamodules.ucf101 import ucf101

PUBLISHED = list(WRITERS)  # the builtin: ours is imported under another name
FLIP = {"ssv2": "never", "jester": "never"}
TOTAL = {"ucf101": 101, "hmdb51": 51, "diving48": 48, "jester": 27, "ssv2": 174}


def problem(function, **options):
    """Return what a dataset complains about: one line, always."""
    with pytest.raises(UserError) as caught:
        function(**options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


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
    module = import_module(f"datamodules.{name}")
    classes, splits = WRITERS[name](tmp_path, 2 * module.CLASSES + 3, module.CLASSES)
    data = find("datamodules", name)(root=tmp_path, sizes="any")
    assert data.name == name and len(data.classes) == module.CLASSES
    assert data.flip == FLIP.get(name, "ok") and data.order_blind_ceiling is None
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
def test_every_size_that_is_known_passes(name, tmp_path):
    sizes = import_module(f"datamodules.{name}").SIZES
    for train, test in [sizes[1]] if isinstance(sizes, dict) else sizes:
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


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_number_of_classes_is_a_mistake(name, tmp_path, monkeypatch):
    WRITERS[name](tmp_path, 710, 705)
    module = import_module(f"datamodules.{name}")
    there = module.CLASSES
    monkeypatch.setattr(module, "CLASSES", 7)
    said = problem(find("datamodules", name), root=tmp_path, sizes="any")
    assert f"there are {there} classes" in said and "not 7" in said


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_few_shots_of_every_class(name, tmp_path):
    module = import_module(f"datamodules.{name}")
    WRITERS[name](tmp_path, 5 * module.CLASSES, module.CLASSES)
    read = find("datamodules", name)
    whole = read(root=tmp_path, sizes="any")
    chosen = {}
    for shots, seed in ((2, 0), (3, 0), (3, 1)):
        data = read(root=tmp_path, sizes="any", shots=shots, shots_seed=seed)
        train = data.splits["train"]
        assert np.bincount(train.labels).tolist() == [shots] * module.CLASSES
        assert data.splits["test"].sha256() == whole.splits["test"].sha256()
        again = read(root=tmp_path, sizes="any", shots=shots, shots_seed=seed)
        assert train.sha256() == again.splits["train"].sha256()
        chosen[shots, seed] = set(train.names())
    assert chosen[2, 0] < chosen[3, 0] != chosen[3, 1]
    said = problem(read, root=tmp_path, sizes="any", shots=6)
    assert "data.shots=6" in said and "has 5 videos" in said
    assert "data.shots" in problem(read, root=tmp_path, sizes="any", shots=0)


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
    assert "odd.avi is marked 3" in problem(hmdb51, root=tmp_path, sizes="any")


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
    assert "val.csv: no class 400, there are 0 to 399" in said


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
    assert "No such file" in problem(folder, root=own)
    assert len(folder(root=own, test="validation").splits["test"]) == 4
    (own / "validation" / "aple").mkdir()
    (own / "validation" / "aple" / "x.mp4").touch()
    assert "no class 'aple'" in problem(folder, root=own, test="validation")


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
        ("ape\nzebra\n", "a.mp4 2", "no class 2, there are 0 to 1"),
        ("ape\nzebra\n", "a.mp4 -1", "no class -1"),
        ("ape\nzebra\n", "a.mp4 zebr", "no class 'zebr'; did you mean 'zebra'?"),
        ("ape\nzebra\n", "a.mp4", "'a.mp4' is no path and label"),
        ("ape\nzebra\n", "", "it is empty"),
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


def test_a_row_that_is_too_short_is_told(own):
    (own / "list.csv").write_text("path,label\na.mp4,1\nb.mp4\n")
    said = problem(listed, root=own, train="list.csv", test="list.csv")
    assert "list.csv: row 3 has 1 columns, not 2" in said


@pytest.mark.slow
def test_a_million_videos_load_in_seconds(tmp_path):
    row = "train/some_class_{}/abcdefghijk_{:07d}_000010.mp4,{}\n"
    text = "".join(row.format(i % 400, i, i % 400) for i in range(1_000_000))
    (tmp_path / "train.csv").write_text(f"path,label\n{text}")
    (tmp_path / "test.csv").write_text("path,label\na.mp4,399\n")
    (tmp_path / "a.mp4").touch()
    first = tmp_path / "train" / "some_class_0"
    first.mkdir(parents=True)
    (first / "abcdefghijk_0000000_000010.mp4").touch()
    begin = time.process_time()  # this machine may be busy
    data = listed(root=tmp_path)
    assert time.process_time() - begin < 8
    train = data.splits["train"]
    assert len(train) == 1_000_000 and len(data.classes) == 400
    assert train.name(999_999) == "train/some_class_399/abcdefghijk_0999999_000010.mp4"
    assert train.text.nbytes + train.labels.nbytes < 70e6
