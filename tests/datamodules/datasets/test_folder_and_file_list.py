"""Anyone's videos: a folder per class, or a list of any kind; what is wrong is told in one line."""

import json
import os

import pytest
from make_datasets import problem

from datamodules.datasets.file_list import file_list as listed
from datamodules.datasets.folder import folder


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
    "tabs called csv": ("train.csv", "{0}\t{1}\n{2}\t{3}\n"),
    "several tabs": ("train.txt", "{0}\t\t{1}\n{2}\t{3}\n"),
    "a header of other words": ("train.csv", "Video,Class\n{0},{1}\n{2},{3}\n"),
    "a header in quotes": ("train.csv", '"file name";"category"\n{0};{1}\n{2};{3}\n'),
    "a header with tabs": ("train.tsv", "label\tn\tvideo\n{1}\t\t{0}\n{3}\t9\t{2}\n"),
    "a header of lines": ("train.txt", "path label\n{0} {1}\n{2} {3}\n"),
    "a header alone has tabs": ("train.txt", "path\tlabel\n{0}\t{1}\n{2}\t{3}\n"),
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
    rows = zip(("train/zebra/b.mp4", "test/zebra/b.mp4"), labels, strict=True)
    (own / "list.txt").write_text("".join(f"{path} {label}\n" for path, label in rows))
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


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_a_label_with_spaces_may_stand_after_a_tab(name, own):
    (own / name).write_text("train/zebra/b.mp4\tan old, grey zebra\ntrain/an ape/b.mp4\tan ape\n")
    data = listed(root=own, train=name, test=name)
    assert data.classes == ("an ape", "an old, grey zebra")
    assert list(data.splits["train"].names()) == ["train/zebra/b.mp4", "train/an ape/b.mp4"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("clip,what\n{0},x\n{1},x\n", "list.csv:1: there is no video clip, nor any other of class"),
        ("{0},x\n{1}\tx,y\n", "list.csv:2: '{1}\\tx' holds a tab"),
        ("{0} x\n{1}\tan y\n", "list.csv:2: '{1}\\tan' holds a tab"),
        ("{0},x\n\n{1},y\n./{0},y\n", "list.csv:4: ./{0} is 'y' here, but 'x' at {2}/list.csv:1"),
        ("{0}\tx\n{1}\n", "list.csv:2: '{1}' has no label"),
    ],
)
def test_a_list_that_contradicts_itself_is_told(text, wrong, own):
    paths = ("train/zebra/b.mp4", "test/zebra/b.mp4", own)
    (own / "list.csv").write_text(text.format(*paths))
    assert wrong.format(*paths) in problem(listed, root=own, train="list.csv", test="list.csv")


def test_what_stands_in_a_list_twice_is_told_and_taken(own):
    path = "train/zebra/b.mp4"
    (own / "list.csv").write_text(f"{path},x\ntest/zebra/b.mp4,y\n{path},x\n{path},x\n")
    (own / "test.csv").write_text(f"{path},x\n")
    data = listed(root=own, train="list.csv")
    said = f"{own}/list.csv:3: {path} again; 2 of its 4 rows repeat an earlier one"
    assert data.warnings == (said,) and len(data.splits["train"]) == 4


def test_a_list_whose_first_video_is_missing_is_a_list_still(own):
    (own / "list.csv").write_text("gone.mp4,x\ntrain/zebra/b.mp4,x\ntest/zebra/b.mp4,y\n")
    assert len(listed(root=own, train="list.csv", test="list.csv").splits["train"]) == 3
