"""Videos of one source are a cluster, as the dataset's own file declares it."""

import json
from collections.abc import Callable
from pathlib import Path

import make_datasets
import numpy as np
import pytest

from benchmark.lookup import find, names
from datamodules.dataset_info import DatasetInfo, Split, hold_out
from datamodules.datasets._digits import INDEX, digits
from datamodules.datasets.digits_identity import digits_identity
from datamodules.datasets.digits_motion import digits_motion
from datamodules.datasets.hmdb51 import TAGS
from datamodules.datasets.ucf101 import CLIP

SHARED = {"digits_motion", "digits_identity", "ucf101", "hmdb51", "epic_kitchens100"}


def groups(split: Split) -> dict[int, list[int]]:
    """Return the videos of each cluster, by their numbers."""
    found: dict[int, list[int]] = {}
    for number, cluster in enumerate(split.clusters.tolist()):
        found.setdefault(cluster, []).append(number)
    return found


def read(name: str, folder: Path) -> DatasetInfo:
    """Return a dataset as its makers publish it, with videos that are made up."""
    function: Callable[..., DatasetInfo] = find("datamodules.datasets", name)
    if name.startswith("digits"):
        return function(root=folder, train=40, holdout=40, test=40)
    if name in ("folder", "file_list"):
        for split in ("train", "test"):
            for label in ("a", "b"):
                (folder / split / label).mkdir(parents=True)
                for i in range(2):
                    (folder / split / label / f"{i}.mp4").touch()
            rows = [f"{split}/{label}/{i}.mp4,{label}" for label in "ab" for i in range(2)]
            (folder / f"{split}.csv").write_text("\n".join(["path,label", *rows]))
        return function(root=folder)
    make_datasets.WRITERS[name](folder, 8_000, 8_000)
    return function(root=folder, sizes="any")


@pytest.mark.slow
@pytest.mark.parametrize("name", names("datamodules.datasets"))
def test_every_video_of_every_dataset_has_a_cluster(name: str, tmp_path: Path) -> None:
    for split in read(name, tmp_path).splits.values():
        assert split.clusters.shape == (len(split),) and split.clusters.dtype == np.int64
        alone = len(set(split.clusters.tolist())) == len(split)
        assert alone == (name not in SHARED)


@pytest.mark.slow
def test_clips_of_digits_share_their_image_with_their_twin_and_by_chance(tmp_path: Path) -> None:
    data = digits_motion(root=tmp_path, train=8, holdout=8, test=800)
    clusters = data.splits["test"].clusters
    np.testing.assert_array_equal(clusters[::2], clusters[1::2])
    assert 240 < len(set(clusters.tolist())) < 270  # 400 draws from 397: 1 - 1 / e of them
    _, shown = digits()
    assert {shown[i] for i in range(1400, 1797)} == set(range(10))


@pytest.mark.slow
def test_the_image_of_an_identity_clip_shows_its_label(tmp_path: Path) -> None:
    test = digits_identity(root=tmp_path, train=10, holdout=10, test=120).splits["test"]
    for members in groups(test).values():
        assert len(set(test.labels[members].tolist())) == 1
    assert max(map(len, groups(test).values())) > 1


@pytest.mark.slow
def test_digits_written_before_there_were_clusters_get_the_same_ones(tmp_path: Path) -> None:
    options = {"root": tmp_path, "train": 10, "holdout": 10, "test": 40}
    first = digits_identity(**options).splits["test"]
    (index,) = tmp_path.rglob(INDEX)
    kept = json.loads(index.read_text())
    del kept["images"]
    index.write_text(json.dumps(kept))
    again = digits_identity(**options).splits["test"]
    np.testing.assert_array_equal(again.clusters, first.clusters)
    assert again.sha256() == first.sha256()


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("Archery/v_Archery_g08_c01.avi", "Archery/v_Archery_g08_c07.avi", True),
        ("Archery/v_Archery_g08_c01.avi", "Archery/v_Archery_g09_c01.avi", False),
        ("Archery/v_Archery_g08_c01.avi", "Bowling/v_Bowling_g08_c01.avi", False),
    ],
)
def test_clips_of_ucf101_belong_to_the_group_in_their_name(
    one: str, other: str, together: bool
) -> None:
    assert (CLIP.sub("", one) == CLIP.sub("", other)) == together


@pytest.mark.parametrize(
    ("file", "label", "film"),
    [
        ("AmericanGangster_eat_u_nm_np1_fr_bad_55.avi", "eat", "AmericanGangster"),
        ("April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush_hair", "April_09"),
        ("#20_Rhythm_clap_u_nm_np1_le_goo_4.avi", "clap", "#20_Rhythm"),
        ("Catch_Me_catch_f_cm_np1_fr_med_0.avi", "catch", "Catch_Me"),
        ("eat_the_bread_eat_h_cm_np1_ri_goo_1.avi", "eat", "eat_the_bread"),
    ],
)
def test_the_film_of_a_clip_of_hmdb51_stands_before_its_class(
    file: str, label: str, film: str
) -> None:
    assert TAGS.sub("", file).removesuffix(f"_{label}") == film


def test_a_film_of_hmdb51_is_one_cluster_whatever_is_done_in_it(tmp_path: Path) -> None:
    make_datasets.WRITERS["hmdb51"](tmp_path, 3_570, 1_530)
    for number, label in enumerate(("act_00", "act_01")):
        (list_,) = tmp_path.rglob(f"{label}_test_split1.txt")
        lines = list_.read_text().splitlines()
        lines[-1] = f"Heat_{label}_f_nm_np1_fr_goo_{number}.avi 2 "
        list_.write_text("\n".join(lines) + "\n")
    test = find("datamodules.datasets", "hmdb51")(root=tmp_path, sizes="any").splits["test"]
    films = [i for i, name in enumerate(test.names()) if "Heat_" in name]
    assert len(films) == 2 and len(set(test.clusters[films].tolist())) == 1
    assert test.labels[films].tolist() == [0, 1]


@pytest.mark.slow
def test_the_parts_of_a_long_video_of_epic_kitchens_are_one_cluster(tmp_path: Path) -> None:
    test = read("epic_kitchens100", tmp_path).splits["test"]
    names_ = list(test.names())
    for members in groups(test).values():
        assert len({names_[i] for i in members}) == 1
    assert len(groups(test)) == len(set(names_))


def test_clusters_go_with_their_videos_when_some_are_held_out() -> None:
    sources = ["b", "a", "b", "c", "a", "c", "b", "a"]
    split = Split.of([f"{i}.mp4" for i in range(8)], [0, 1] * 4, clusters=sources)
    held = hold_out(DatasetInfo("x", ("0", "1"), {"train": split, "test": split}, "ok"), 0.5, 0)
    for part in (held.splits["train"], held.splits["holdout"]):
        own = [sources[int(name.removesuffix(".mp4"))] for name in part.names()]
        for one, a in zip(own, part.clusters, strict=True):
            assert [o == one for o in own] == (part.clusters == a).tolist()


def test_without_sources_every_video_is_its_own() -> None:
    assert Split.of(["a", "b", "c"], [0, 0, 0]).clusters.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="clusters of shape"):
        Split.of(["a", "b"], [0, 0], clusters=["x"])
