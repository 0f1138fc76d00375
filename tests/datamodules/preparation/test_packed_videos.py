"""Packed videos are the videos: the same bits, the same verdicts, under the same names."""

import json
import os
import re
import tarfile
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from augments import AS_IT_IS
from make_videos import greys, remux, scene, with_matrix, write
from trained import a_checkpoint, a_video

from benchmark import load_checkpoint
from benchmark.inference.predict import predict, videos_in
from benchmark.training.evaluation import Scores
from benchmark.training.provenance import data_provenance
from datamodules import files
from datamodules.dataset_info import DatasetInfo
from datamodules.datasets.folder import folder
from datamodules.decoding.open import open_video
from datamodules.decoding.reading import read_video
from datamodules.decoding.stated_length import stated_length
from datamodules.decoding.video import DecodeError, RandomAccessVideo
from datamodules.identity import identify
from datamodules.loading.clips import TrainingClips, sampling
from datamodules.loading.opener import opener
from datamodules.preparation.audit import look
from datamodules.preparation.pack import pack

WEBDATASET = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")  # how it takes a member's name apart
pytestmark = pytest.mark.usefixtures("packing_here")


def film(path: Path, codec: str, times: list[int] | None = None, **options: str) -> None:
    """Write 24 frames of a scene with loss, and with B-frames where the codec has them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.thread_count = 1
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, picture in enumerate(scene(24)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def odd(root: Path) -> None:
    """Write videos of all kinds: two classes of training videos, and a test video."""
    own = root / "train" / "a"
    own.mkdir(parents=True)
    film(own / "b_frames.mp4", "libx264", g="12", bf="3")
    film(own / "at the end.mov", "libx264", movflags="")
    film(own / "uneven.mkv", "libx264", times=np.cumsum([0, *[33, 7, 90] * 8])[:24].tolist())
    film(own / "open.ts", "mpeg2video", g="6", bf="2")
    film(own / "old.avi", "mpeg4", bf="2")
    film(own / "a.b.c.webm", "libvpx")
    write(own / "old.mp4", greys(6))  # its stem is another video's, too
    with_matrix(write(own / "turned.mp4", scene(6)), (0, 1, -1, 0))
    whole = (own / "b_frames.mp4").read_bytes()
    (own / "cut off.mp4").write_bytes(whole[: len(whole) // 2])
    (own / "garbage.mp4").write_bytes(os.urandom(5000))
    (own / "empty.mp4").touch()
    (own / "text.mkv").write_text("no video\n" * 99)
    (own / "gone.mp4").symlink_to("nowhere")
    remux(own / "open.ts", own / "damaged.ts", lambda i, packet: None if i in (5, 6) else packet)
    (own / "pictures").mkdir()
    for i, picture in enumerate(scene(4)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.save(str(own / "pictures" / f"img_{i + 1:05}.jpg"))
    for place in (root / "train" / "b", root / "test" / "a"):
        place.mkdir(parents=True)
        write(place / f"{'long name ' * 15}ä.mp4", scene(3))


def outcome(root: Path, name: str, decoder: str = "pyav") -> Any:
    """Return all that is seen of a video, or how it is broken, but not where it lies."""
    path = str(root / name)

    def take(video: RandomAccessVideo) -> list[Any]:
        own = video.frames(range(len(video)))
        again = video.frames([len(video) - 1, 0, len(video) // 2])  # sought, and backwards
        return [own.shape, own.tobytes(), again.tobytes(), video.times.tolist(), video.duration]

    try:
        seen = read_video(path, partial(open_video, path, decoder), take)
        return [*seen, stated_length(path)]
    except DecodeError as error:
        return str(error).replace(str(root), "")


@pytest.fixture
def both(tmp_path: Path, out: Path) -> tuple[DatasetInfo, DatasetInfo]:
    """Return odd videos as files, and packed."""
    odd(tmp_path / "old")
    data = folder(root=tmp_path / "old")
    rows = pack(data, out, workers=1)
    assert [row["name"] for row in rows.values() if row["problem"]] == ["train/a/gone.mp4"]
    return data, folder(root=out)


@pytest.mark.slow
def test_all_there_is_to_see_of_a_video_is_the_same(
    both: tuple[DatasetInfo, DatasetInfo], tmp_path: Path, out: Path
) -> None:
    names = [*both[0].splits["train"].names()]
    found = {name: outcome(tmp_path / "old", name) for name in names}
    assert {name: outcome(out, name) for name in names} == found
    broken = {name for name, each in found.items() if isinstance(each, str)}
    expected = ("cut off.mp4", "garbage.mp4", "empty.mp4", "text.mkv", "gone.mp4")
    assert {f"train/a/{each}" for each in expected} <= broken < set(names)
    assert len(found["train/a/turned.mp4"]) == 6  # and it is turned
    assert found["train/a/turned.mp4"][0] == (6, 64, 48, 3)


def demand_torchcodec() -> None:
    """Skip a test of the second decoder where there is none."""
    try:
        import torchcodec
    except (ImportError, RuntimeError):
        pytest.skip("torchcodec is not installed")
    if torchcodec.ffmpeg_major_version is None:
        pytest.skip("torchcodec finds no FFmpeg")


@pytest.mark.parametrize("decoder", ["pyav", "torchcodec"])
def test_what_is_there_as_a_file_is_taken_before_what_was_packed(
    tmp_path: Path, out: Path, decoder: str
) -> None:
    if decoder == "torchcodec":
        demand_torchcodec()
    for split in ("train", "test"):
        (tmp_path / "old" / split / "a").mkdir(parents=True)
        write(tmp_path / "old" / split / "a" / "v.mp4", greys(6))
    pack(folder(root=tmp_path / "old"), out, workers=1)
    assert outcome(out, "train/a/v.mp4", decoder)[0][0] == 6
    (out / "train" / "a").mkdir(parents=True)
    write(out / "train" / "a" / "v.mp4", scene(9))
    assert outcome(out, "train/a/v.mp4", decoder)[0][0] == 9


@pytest.mark.slow
def test_the_second_decoder_sees_the_same(
    both: tuple[DatasetInfo, DatasetInfo], tmp_path: Path, out: Path
) -> None:
    demand_torchcodec()
    for name in both[0].splits["train"].names():
        old = outcome(tmp_path / "old", name, "torchcodec")
        assert outcome(out, name, "torchcodec") == old, name


@pytest.mark.slow
def test_lists_records_and_audits_know_no_difference(
    both: tuple[DatasetInfo, DatasetInfo], tmp_path: Path, out: Path
) -> None:
    old, new = both
    assert identify(old) == identify(new) and old.warnings == new.warnings
    scores = Scores(*(torch.zeros(1).long() for _ in range(4)), torch.zeros(1).bool(), 1)

    def provenance(data: DatasetInfo) -> Any:
        module: Any = SimpleNamespace(data=data, evaluation_split="test", decoded=[0, 0])
        return data_provenance(module, identify(data), [0, 2], scores)

    assert provenance(old) == provenance(new)
    for name in old.splits["train"].names():
        rows = []
        for root in (tmp_path / "old", out):
            try:
                rows.append(look(str(root), name))
            except DecodeError as error:
                rows.append({"problem": str(error).replace(str(root), "")})
            rows[-1]["state"] = files.file_state(root, name)
        if not name.endswith("pictures"):  # whose folder has a size of its own
            assert rows[0] == rows[1], name


@pytest.mark.slow
def test_clips_and_what_stands_in_for_broken_videos_are_the_same(
    both: tuple[DatasetInfo, DatasetInfo],
) -> None:
    clips = [
        TrainingClips(
            data,
            opener(data.splits["train"], data.name, None, decoder="pyav", cache=False),
            sampling("uniform", frames=4),
            replace(AS_IT_IS, flip=0.5),
            size=32,
            interpolation="bilinear",
            seed=0,
        )
        for data in both
    ]
    stood_in = 0
    for index in range(len(clips[0])):
        old, new = (each[(1, index)] for each in clips)
        assert old["video"].equal(new["video"])
        assert (old["index"], old["broken"]) == (new["index"], new["broken"])
        stood_in += old["broken"] >= 0
    assert stood_in >= 5


@pytest.mark.slow
def test_anybody_can_read_them(both: tuple[DatasetInfo, DatasetInfo], out: Path) -> None:
    old = both[0].splits["train"]
    seen = {}
    with tarfile.open(out / "train-000000.tar") as tar:
        for member in tar.getmembers():
            match = WEBDATASET.fullmatch(member.name)
            assert match
            content = tar.extractfile(member)
            assert content
            seen[match[1], match[2]] = content.read()
    order = [key for key, _ in groupby(key for key, _ in seen)]
    assert len(order) == len(set(order)) == len(old) - 1  # one was not there
    for key in order:
        own = {ending: content for (each, ending), content in seen.items() if each == key}
        about = json.loads(own.pop("json"))
        label = int(own.pop("cls"))
        assert about["rows"] == [{"split": "train", "label": label, "class": "ab"[label]}]
        path = Path(old.root, about["name"])
        if path.is_dir():
            assert own == {each.name: each.read_bytes() for each in path.iterdir()}
        else:
            assert own == {path.suffix[1:]: path.read_bytes()}


@pytest.mark.slow
def test_predict_finds_packed_videos_by_their_names_and_answers_alike(
    tmp_path: Path, out: Path
) -> None:
    for split in ("train", "test"):
        for name in ("a/1.mp4", "a/deep/2.mp4", "b/3.mp4"):
            a_video(tmp_path / "old" / split / name)
    pack(folder(root=tmp_path / "old"), out, workers=1)
    model = load_checkpoint(a_checkpoint(tmp_path), ["workers=0"])

    def answers(root: Path) -> dict[str, list[float]]:
        videos = videos_in([root / "train" / "b" / "3.mp4", root / "test" / "a"])
        found = predict(model, videos)
        return {
            str(Path(each.video).relative_to(root)): each.probabilities.tolist()
            for each in found
            if each.probabilities is not None
        }

    packed = answers(out)
    assert packed == answers(tmp_path / "old")
    assert list(packed) == ["train/b/3.mp4", "test/a/1.mp4", "test/a/deep/2.mp4"]
