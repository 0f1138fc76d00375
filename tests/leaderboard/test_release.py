"""A release is made again byte for byte from what it holds, and nothing doubtful becomes one."""

import functools
import hashlib
import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_record import made_record

import benchmark
from benchmark.cli.parser import main
from benchmark.errors import UserError
from benchmark.leaderboard.exports import release
from benchmark.leaderboard.exports.release import ARCHIVE, MANIFEST, check, freeze
from benchmark.recipes import compose
from benchmark.results import answers, record, splits, staleness
from benchmark.results.answers import Answers, metrics_of
from benchmark.results.schema import SplitChecksum
from datamodules.dataset_info import Split
from datamodules.files import ROOT

TABLE = "fair/digits_motion/vit_digits"
CODE = ("c" * 40, False)
CLASSES = tuple("abcd")
TESTED = Split.of([f"{i}.mp4" for i in range(40)], np.arange(40) % 4, clusters=np.arange(40) // 2)


recipe = functools.cache(compose.load)


def made(method: str, seed: int, wrong: int = 3, **environment: Any) -> Path:
    """Write a record that can be frozen, with its answers and split; every `wrong`th is wrong."""
    right = Answers((np.arange(40) + seed) % wrong > 0)
    data: dict[str, Any] = {
        "classes": CLASSES,
        "classes_sha256": hashlib.sha256("\n".join(CLASSES).encode()).hexdigest(),
        "splits": {"test": SplitChecksum(videos=40, sha256=TESTED.sha256())},
    }
    name = f"{TABLE}/{method}/seed{seed}"
    file = made_record(
        name,
        asdict(recipe(name)),
        metrics=metrics_of(right, TESTED),
        data=data,
        environment={"weights": "a" * 64, **environment},
    ).write()
    answers.write(file, right)
    splits.write(file, TESTED)
    return file


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make RESULTS, with a board of two methods, and return where its release 1.0 is to lie."""
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(staleness, "data_change", lambda *_: None)  # it is not that of digits
    for seed in range(3):
        made("aim", seed)
        made("full", seed, wrong=5)
    return tmp_path / "releases" / "1.0"


def content(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
def test_a_release_keeps_what_its_methods_claimed(place, monkeypatch):
    freeze("1.0", CODE)
    monkeypatch.setattr(release, "kind_of", lambda section: None)  # their files say otherwise
    assert check("1.0") == []
    table = (place / "fair" / "tables.csv").read_text()
    assert ",yes," in table and ",baseline," in table


@pytest.mark.slow
def test_a_release_is_made_again_byte_for_byte_when_the_records_are_gone(place: Path) -> None:
    assert freeze("1.0", CODE) == place
    tables = {f"fair/tables.{form}" for form in ("csv", "json", "tex", "md")}
    assert content(place).keys() == {MANIFEST, ARCHIVE, *tables}
    csv = (place / "fair" / "tables.csv").read_text().splitlines()
    assert [line.split(",")[3:6] for line in csv[1:]] == [
        ["full", "no", "0.8"],
        ["aim", "yes", "0.666666666667"],
    ]
    shutil.rmtree(place.parents[1] / "fair")
    assert check("1.0") == [] and release.versions() == ["1.0"]


@pytest.mark.slow
def test_newer_records_and_papers_numbers_do_not_change_a_release(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze("1.0", CODE)
    before = content(place)
    made("aim", 0, wrong=7)
    monkeypatch.setattr(release.published, "PUBLISHED", tmp_path / "none.yaml")
    assert check("1.0") == [] and content(place) == before
    with pytest.raises(UserError, match=r"releases/1\.0: is frozen already"):
        freeze("1.0", CODE)


@pytest.mark.slow
def test_the_same_records_give_the_same_release(place: Path) -> None:
    first = content(freeze("1.0", CODE))
    shutil.rmtree(place)
    assert content(freeze("1.0", CODE)) == first


@pytest.mark.slow
def test_the_manifest_has_the_checksum_of_every_file(place: Path) -> None:
    freeze("1.0", CODE)
    manifest = json.loads((place / MANIFEST).read_text())
    sources = {name: place.parents[1] / name for name in manifest["records"]}
    del sources[release.CLAIMS]  # which are in no file but the archive
    sources["published.yaml"] = ROOT / "results" / "published.yaml"
    assert len(sources) == 6 + 6 + 1 + 1  # records, answers, a split, the papers' numbers
    for name, source in sources.items():
        assert manifest["records"][name] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert manifest["commit"] == CODE[0] and manifest["packages"]["numpy"] == np.__version__


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fair/tables.csv", "fair/tables.csv: its checksum is not that of the manifest"),
        (ARCHIVE, f"{ARCHIVE}: its checksum is not that of the manifest"),
    ],
)
def test_an_edited_release_is_told(place: Path, name: str, told: str) -> None:
    freeze("1.0", CODE)
    found = (place / name).read_bytes()
    (place / name).write_bytes(found + (b"\0" * 4 if name == ARCHIVE else b"\n"))  # xz's padding
    (line,) = check("1.0")
    assert line.endswith(told)


@pytest.mark.slow
def test_a_digit_edited_with_its_checksum_is_told_with_its_line(place: Path) -> None:
    freeze("1.0", CODE)
    table, manifest = place / "fair" / "tables.csv", place / MANIFEST
    edited = table.read_text().replace("0.666666666667", "0.766666666667").encode()
    told = json.loads(manifest.read_text())
    told["tables"]["fair/tables.csv"] = hashlib.sha256(edited).hexdigest()
    table.write_bytes(edited)
    manifest.write_text(json.dumps(told))
    (line,) = check("1.0")
    assert "tables.csv: line 3: " in line and "0.7666" in line and "0.6666" in line
    told["format"] = release.FORMAT + 1  # other code's: it is held to its checksums
    manifest.write_text(json.dumps(told))
    assert check("1.0") == [] and "of format 3, which the code of cccc" in release.summary("1.0")


@pytest.mark.slow
def test_what_is_missing_foreign_or_broken_is_a_line(place: Path) -> None:
    freeze("1.0", CODE)
    (place / "fair" / "tables.md").unlink()
    (place / "more.csv").write_text("")
    found = check("1.0")
    assert len(found) == 2 and "more.csv: is not in the manifest" in found[0]
    assert found[1].endswith("tables.md: is missing")
    (place / ARCHIVE).write_bytes(b"nothing")
    assert [line for line in check("1.0") if ARCHIVE in line or "read" in line]
    (place / MANIFEST).write_text("[]")
    (line,) = check("1.0")
    assert "cannot be read" in line
    with pytest.raises(UserError, match=r"no release '2\.0'; there are: 1\.0"):
        check("2.0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("doubt", "told"),
    [
        ("dirty", "aim/seed0.json: was made by code with changes that were not committed"),
        ("edited", "aim/seed0.json: fails verify: metrics.top1 is 0.9"),
        ("stale", "aim/seed0: is stale: optim.lr: 0.5 -> "),
        ("answers", "aim/seed0.answers.npz: is missing"),
        ("code", "the code differs from its commit"),
        ("none", "no committed board has a record"),
    ],
)
def test_what_is_doubtful_is_not_frozen(place: Path, doubt: str, told: str) -> None:
    file = made("aim", 0, dirty=doubt == "dirty")
    plain = json.loads(file.read_text())
    if doubt == "edited":
        plain["metrics"]["top1"] = 0.9
    if doubt == "stale":
        plain["recipe"]["optim"]["lr"] = 0.5
    file.write_text(json.dumps(plain))
    if doubt == "answers":  # which an older run's scores stand in for, on the board
        answers.path(file).unlink()
        scores = np.eye(4)[np.where(np.arange(40) % 3 > 0, TESTED.labels, (TESTED.labels + 1) % 4)]
        np.savez(file.with_suffix(".npz"), scores=scores, label=TESTED.labels)
    if doubt == "none":
        shutil.rmtree(place.parents[1] / "fair")
    with pytest.raises(UserError, match="(?s)^[^\n]*" + told):
        freeze("1.0", (CODE[0], doubt == "code"))
    assert not place.exists()


@pytest.mark.slow
def test_what_git_has_not_is_not_frozen(place: Path) -> None:
    results = place.parents[1]

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@x")
        subprocess.run(["git", "-C", str(results), *who, *arguments], check=True)

    git("init", "-q")
    (results / ".gitignore").write_text("/quick/\n")
    git("add", ".")
    git("commit", "-qm", "records")
    shutil.copytree(results / "fair", results / "quick")  # ignored: not on a committed board
    made("aim", 1, wrong=4)
    with pytest.raises(UserError, match=r"aim/seed1(\.answers\.npz|\.json): is not committed"):
        freeze("1.0", CODE)
    git("commit", "-qam", "again")
    assert {name.split("/")[0] for name in content(freeze("1.0", CODE))} == {
        *(MANIFEST, ARCHIVE, "fair"),
    }


@pytest.mark.slow
def test_the_command_says_in_a_line_how_releases_are(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["freeze", "--check"]) == 0
    freeze("1.0", CODE)
    assert main(["freeze", "--check"]) == 0 and main(["freeze", "--check", "1.0"]) == 0
    (place / "fair" / "tables.tex").write_text("")
    assert main(["freeze", "--check"]) == 1 and main(["freeze", "--check", "2.0"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "there are no releases"
    assert out.splitlines()[1:] == 2 * ["1.0: 4 tables, made again byte for byte"]
    assert len(err.splitlines()) == 2 and "tables.tex" in err


def test_the_committed_releases_are_as_they_were_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", ROOT / "results")
    assert [line for version in release.versions() for line in check(version)] == []


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == benchmark.__version__
