"""A run's right answers are kept as bits, and say of accuracy all that its record says."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from made_record import MADE, NAME, made_record

from benchmark.errors import UserError
from benchmark.leaderboard import pages
from benchmark.results import answers, predictions, record, splits
from benchmark.results.answers import NOT_IN_BITS, Answers, metrics_of
from benchmark.results.schema import SplitChecksum
from benchmark.training import evaluation
from benchmark.training.evaluation import Scores
from datamodules.dataset_info import Split


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / f"{NAME}.json"


def split(count: int, classes: int = 6, *, segments: bool = False) -> Split:
    numbers = np.arange(count)
    parts = np.stack([numbers, numbers + 0.1], axis=1) if segments else None
    names = [f"ä/{i}.mp4" for i in range(count)]
    films = [f"film {i % 3}" for i in numbers]
    return Split.of(names, numbers % classes, "here", parts, clusters=films)


def scores(count: int, classes: int = 6, seed: int = 0, *, broken: bool = False) -> Scores:
    """Return random scores of the videos of `split`, many of them equal."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(4, (count, classes), generator=generator).float()
    index = torch.arange(count)
    right = torch.ones(count, dtype=torch.int64)
    return Scores(index, index % classes, found, right, (index % 5 == 0) & broken, views=2)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("broken", [False, True])
def test_answers_say_what_the_metrics_of_a_record_say(count: int, broken: bool, file: Path) -> None:
    one, other = (scores(count, seed=seed, broken=broken) for seed in (0, 1))
    metrics = evaluation.metrics(one) | evaluation.merging(one, other)
    metrics["chance"] = evaluation.chance(one)
    answers.write(file, evaluation.answers(one, other))
    found = metrics_of(answers.read(file), split(count))
    assert found.pop("videos") == count
    assert found.keys() == metrics.keys() - {*NOT_IN_BITS}
    for key, value in found.items():
        assert math.isclose(value, metrics[key], rel_tol=1e-12, abs_tol=1e-12), key
    assert found["top1"] == metrics["top1"] and found["top5"] == metrics["top5"]


def test_every_metric_is_in_the_bits_or_said_not_to_be() -> None:
    one, other = scores(9), scores(9, seed=1)
    found = metrics_of(evaluation.answers(one, other), split(9))
    assert found.keys() | {*NOT_IN_BITS} | {"split"} == asdict(MADE.metrics).keys()


def test_with_four_classes_there_is_no_top_5_and_without_merging_no_merged(file: Path) -> None:
    answers.write(file, evaluation.answers(scores(8, classes=4)))
    found = answers.read(file)
    assert found.top5 is None and found.merged_top1 is None
    assert metrics_of(found, split(8, classes=4)).keys() == {
        *("videos", "top1", "mean_class", "chance")
    }


def test_the_answers_to_kinetics_400_are_small_and_the_same_every_time(file: Path) -> None:
    bits = np.random.default_rng(0).random((3, 19_906)) < 0.5
    sizes = []
    for more in ((), (bits[2],)):
        answers.write(file, Answers(bits[0], bits[1], *more))
        first = answers.path(file).read_bytes()
        answers.write(file, Answers(bits[0], bits[1], *more))
        assert answers.path(file).read_bytes() == first
        sizes.append(len(first))
        np.testing.assert_array_equal(answers.read(file).top5, bits[1])
    assert sizes[0] < 2 * 2_500 + 1_000 and sizes[1] < 3 * 2_500 + 1_500
    assert [each.name for each in file.parent.iterdir()] == ["seed0.answers.npz"]


def test_what_are_no_answers_is_told_in_one_line(file: Path) -> None:
    with pytest.raises(UserError, match=r"^no answers .*seed0\.answers\.npz beside"):
        answers.read(file)
    answers.path(file).parent.mkdir(parents=True)
    for broken in (b"", b"PK\x03\x04", b"{}"):
        answers.path(file).write_bytes(broken)
        with pytest.raises(UserError, match=r"not the answers of a run"):
            answers.read(file)
    with answers.path(file).open("wb") as stream:
        np.savez(stream, videos=np.array(17), top1=np.zeros(2, np.uint8))
    with pytest.raises(UserError, match="top1 has not the bits of 17 videos"):
        answers.read(file)
    bits = np.zeros(2, np.uint8)
    for arrays in ({}, {"top1": bits, "more": bits}, {"top1": bits, "videos": [1, 2]}):
        np.savez(answers.path(file), **{"videos": np.array(9), **arrays})
        with pytest.raises(UserError, match=r"not the answers of a run"):
            answers.read(file)


@pytest.mark.parametrize("kind", ["split", "scores"])
def test_a_flipped_bit_is_told_in_one_line(kind: str, file: Path) -> None:
    file.parent.mkdir(parents=True)
    if kind == "split":
        splits.write(file, split(30))
        place = splits.path(file, split(30).sha256())
    else:
        place = predictions.path(file)
        np.savez_compressed(place, scores=np.eye(9), label=np.arange(9))
    whole, told = place.read_bytes(), 0
    for number in range(0, len(whole), 23):
        place.write_bytes(whole[:number] + bytes([whole[number] ^ 4]) + whole[number + 1 :])
        splits._read.cache_clear()
        try:
            splits.read(file, split(30).sha256()) if kind == "split" else predictions.read(file)
        except UserError:
            told += 1
    splits._read.cache_clear()
    assert told > 5


def test_answers_to_other_videos_are_refused() -> None:
    with pytest.raises(UserError, match="7 answers, but the split has 8 videos"):
        metrics_of(Answers(np.zeros(7, bool)), split(8))


@pytest.mark.parametrize("segments", [False, True])
def test_a_split_comes_back_as_it_was(segments: bool, file: Path) -> None:
    first = split(20, segments=segments).select(range(19, 3, -1))
    splits.write(file, first)
    again = splits.read(file, first.sha256())
    assert list(again.names()) == list(first.names()) and again.sha256() == first.sha256()
    np.testing.assert_array_equal(again.labels, first.labels)
    np.testing.assert_array_equal(again.clusters, first.clusters)
    assert again.segment(3) == first.segment(3) and again.root == ""


def test_a_split_is_kept_once_for_a_protocol(tmp_path: Path) -> None:
    names = [f"quick/{data}/vit_digits/aim/seed{s}" for data in ("a", "b") for s in (0, 1)]
    for name in (*names, f"scratch/{NAME}"):
        splits.write(tmp_path / f"{name}.json", split(9))
    kept = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.npz"))
    sha256 = split(9).sha256()[:16]
    assert kept == [f"quick/splits/{sha256}.npz", f"scratch/quick/splits/{sha256}.npz"]


def test_a_split_that_is_gone_or_another_is_told_in_one_line(file: Path) -> None:
    sha256 = split(9).sha256()
    with pytest.raises(UserError, match=r"^no split .*its record says"):
        splits.read(file, sha256)
    splits.write(file, split(8))
    place = splits.path(file, sha256)
    splits.path(file, split(8).sha256()).rename(place)
    with pytest.raises(UserError, match="not the split whose checksum is"):
        splits.read(file, sha256)
    place.write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="not a split"):
        splits.read(file, sha256)


@pytest.mark.parametrize("seeds", [2, 6])
def test_every_file_is_read_once(
    seeds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    tested = SplitChecksum(videos=9, sha256=split(9).sha256())
    for seed in range(seeds):
        name = NAME.replace("seed0", f"seed{seed}")
        made = made_record(name, data={"splits": {"test": tested}})
        splits.write(made.write(), split(9))
        answers.write(record.path(name), evaluation.answers(scores(9, seed=seed)))
    opened: list[str] = []
    text, load, unpacked = Path.read_text, np.load, answers.ZipFile
    monkeypatch.setattr(
        Path, "read_text", lambda self, **more: opened.append(self.name) or text(self, **more)
    )
    monkeypatch.setattr(np, "load", lambda file: opened.append(Path(file.name).name) or load(file))
    monkeypatch.setattr(answers, "ZipFile", lambda f: opened.append(f.name) or unpacked(f))
    found = record.records()
    assert sorted(opened) == [f"seed{seed}.json" for seed in range(seeds)]  # answers: when asked
    opened.clear()
    pages.plain(found, every=True)
    kept = splits.path(record.path(name), tested.sha256).name
    assert sorted(opened) == sorted([f"seed{s}.answers.npz" for s in range(seeds)] + [kept])
