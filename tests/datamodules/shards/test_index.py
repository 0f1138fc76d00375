"""Names are found where they were packed, and nothing else is."""

import json
import os
import random
from pathlib import Path

import pytest

from datamodules.errors import UserError
from datamodules.shards import paths
from datamodules.shards.index import FACTS, NAMES, Index, Member, index_around


def packed(folder: Path, names: dict[str, Member]) -> Index:
    """Write the index of a shard that is not there, and open it."""
    lines = sorted((name.encode(), "\t".join(map(str, own))) for name, own in names.items())
    text = b"".join(name + f"\t{rest}\n".encode() for name, rest in lines)
    (folder / NAMES).write_bytes(text)
    facts = {"version": 1, "bytes": len(text), "shards": [["train-000000.tar", 10, "key"]]}
    (folder / FACTS).write_text(json.dumps(facts))
    return Index(str(folder))


def test_every_name_is_found_and_no_other(tmp_path: Path) -> None:
    rng = random.Random(0)
    parts = ["a", "aa", "a b", "a-", "a.mp4", "a0", "ä", "日本", "Z", "~", "10:30"]
    names = {"/".join(rng.choices(parts, k=rng.randint(1, 4))) for _ in range(400)}
    members = {name: Member(0, i, i, i, i) for i, name in enumerate(sorted(names))}
    index = packed(tmp_path, members)
    assert {name: index.find(name) for name in names} == members
    near = [f"{name}{more}" for name in names for more in ("x", "/", "\t0", "\n")]
    others = [*near, *(name[:-1] for name in names), "", "zz", "\udcff"]
    assert not [name for name in others if name not in names and index.find(name)]


@pytest.mark.parametrize("damage", [b"1\t0\t0\t0\t0", b"0\tx\t0\t0\t0", b"0\t0\t0\t0"])
def test_a_place_that_is_none_is_the_disks_fault(tmp_path: Path, damage: bytes) -> None:
    line = b"a.mp4\t" + damage + b"\n"
    (tmp_path / NAMES).write_bytes(line)
    facts = {"version": 1, "bytes": len(line), "shards": [["train-000000.tar", 10, "key"]]}
    (tmp_path / FACTS).write_text(json.dumps(facts))
    with pytest.raises(OSError, match=rf"{NAMES} is damaged where a\.mp4 stands; copy it again"):
        paths.opened(str(tmp_path / "a.mp4"))


def test_a_folder_of_shards_lists_as_the_folder_that_was_packed(tmp_path: Path) -> None:
    tree, shards = tmp_path / "tree", tmp_path / "shards"
    shards.mkdir()
    names = ("a/b/1.mp4", "a/b/2.mp4", "a/b-c/3.mp4", "a/b.mp4", "a/ä/x/y", "z.mp4", "a/b0/4")
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    packed(shards, dict.fromkeys(names, Member(0, 512, 3, 7, 0)))
    folders = ["a", "a/b", "a/b-c", "a/ä", "a/ä/x", "a/b0"]
    own = [(FACTS, False), (NAMES, False)]
    assert paths.scan(shards) == sorted([*paths.scan(tree), *own])
    for each in folders:
        assert paths.scan(shards / each) == paths.scan(tree / each)
    for each in (*folders, *names, "b", "a/b/1", "a/b/1.mp4/x", "\0"):
        assert paths.is_folder(shards / each) == paths.is_folder(tree / each), each
    assert paths.exists(shards / "a/b.mp4") and paths.exists(shards / "a/b")
    assert not paths.exists(shards / "a/c.mp4")
    assert paths.state(shards / "./a//b/1.mp4") == (3, 7)
    assert paths.state(shards / "a/b") == (6, 7) and paths.total_bytes(shards / "a/b") == 6
    with pytest.raises(FileNotFoundError):
        paths.scan(shards / "a/c")


def test_what_is_there_as_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    packed(tmp_path, {"a.mp4": Member(0, 512, 3, 7, 0), "b.mp4": Member(-1, 0, -1, 0, 0)})
    (tmp_path / "a.mp4").write_bytes(b"12345")
    assert paths.state(tmp_path / "a.mp4") == (5, os.stat(tmp_path / "a.mp4").st_mtime_ns)
    with paths.opened(str(tmp_path / "a.mp4")) as file:
        assert file.read() == b"12345"
    with pytest.raises(FileNotFoundError):  # it was listed, and not there when it was packed
        paths.state(tmp_path / "b.mp4")
    assert ("b.mp4", False) in paths.scan(tmp_path)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ("no JSON", "it is no index of shards"),
        ("{}", "it is no index of shards"),
        ('{"version": 9}', "is of version 9, newer than this code"),
        ('{"version": 1, "bytes": 7, "shards": []}', r"\d+ bytes, not the 7 that shards.json says"),
    ],
)
def test_a_broken_index_is_told_in_one_line(tmp_path: Path, facts: str, said: str) -> None:
    packed(tmp_path, {"a.mp4": Member(0, 512, 3, 7, 0)})
    (tmp_path / FACTS).write_text(facts)
    with pytest.raises(UserError, match=said) as raised:
        paths.is_folder(tmp_path / "x")
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_an_index_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    packed(tmp_path, {"a.mp4": Member(0, 512, 3, 7, 0)})
    assert paths.exists(tmp_path / "a.mp4")
    packed(tmp_path, {"bb.mp4": Member(0, 512, 3, 7, 0)})
    assert not paths.exists(tmp_path / "a.mp4") and paths.exists(tmp_path / "bb.mp4")
    found = index_around(str(tmp_path / "x" / "y"))
    assert found and found[1] == "x/y"
