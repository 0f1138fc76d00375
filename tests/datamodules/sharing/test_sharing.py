"""Runs that share clips get the bits they would get alone, whoever dies meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augments import AS_IT_IS
from torch.utils.data import DataLoader

from datamodules.datamodule import training_clips
from datamodules.dataset_info import DatasetInfo
from datamodules.loading.clips import TrainingClips, sampling
from datamodules.loading.samplers import TrainingSampler
from datamodules.sharing import memory, servers
from datamodules.sharing.client import SharedClips
from datamodules.sharing.key import training_key
from datamodules.sharing.memory import Slots, anonymous, slot_size
from datamodules.sharing.servers import clip_server
from datamodules.sharing.wire import Hello

EPOCHS, BATCH = 3, 8
AUGMENT = replace(AS_IT_IS, scale=[0.3, 1], erasing=replace(AS_IT_IS.erasing, probability=0.5))
FORK = get_context("fork")
pytestmark = pytest.mark.skipif(not servers.possible(), reason="memory without a name is Linux's")


def clips_of(data: DatasetInfo) -> TrainingClips:
    choose = sampling("uniform", frames=4)
    return training_clips(data, choose, AUGMENT, size=24, interpolation="bilinear", seed=3)


def hello(clips: TrainingClips, run: str, key: str = "k") -> Hello:
    return Hello(
        key=key,
        run=run,
        lends=False,
        seed=clips.seed,
        videos=len(clips),
        used=len(clips) // BATCH * BATCH,
        epochs=EPOCHS,
        slack=4 * BATCH,
        size=slot_size(clips.frames, 3, clips.size, clips.size),
    )


def train(
    data: DatasetInfo, address: str, run: str, key: str = "k", pause: float = 0.0, workers: int = 1
) -> tuple[list[dict[str, Any]], int]:
    """Return all batches of a run, and how many clips it decoded."""
    torch.set_num_threads(1)
    clips = clips_of(data)
    if address:
        clips.share = SharedClips(address, hello(clips, run, key))
    sampler = TrainingSampler(clips, seed=clips.seed, batch=BATCH, world=1, rank=0)
    loader = DataLoader(
        clips, BATCH, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
    )
    batches, decoded = [], 0
    for epoch in range(EPOCHS):
        sampler.epoch = epoch
        for batch in loader:
            decoded += int(batch.pop("decoded", torch.ones(BATCH)).sum())
            batches.append({name: value.numpy() for name, value in batch.items()})
            time.sleep(pause)
    return batches, decoded


def same(batches: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    return len(batches) == len(others) and all(
        one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
        for one, other in zip(batches, others, strict=True)
    )


def child(connection: Any, *arguments: Any) -> None:
    connection.send(train(*arguments))
    connection.close()


def start(*arguments: Any) -> tuple[Any, Any]:
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(theirs, *arguments))
    process.start()
    theirs.close()
    return process, ours


@pytest.fixture(scope="module")
def alone(motion: DatasetInfo) -> list[dict[str, Any]]:
    return train(motion, "", "", workers=0)[0]


def server_of(address: str) -> int:
    """Return the process id of a server."""
    folder, end = str(Path(address).parent), time.monotonic() + 30
    while time.monotonic() < end:  # it may be about to start
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if folder.encode() in each.read_bytes().split(b"\0"):
                    return int(each.parent.name)
        time.sleep(0.02)
    raise AssertionError("no server")


@pytest.mark.slow
def test_runs_at_once_get_the_same_bits_and_decode_once(motion, alone):
    with clip_server(2**26) as address:
        runs = [start(motion, address, f"run{i}", "k", 0.002 * i) for i in range(3)]
        found = [ours.recv() for _, ours in runs]
        for process, _ in runs:
            process.join()
    assert all(same(batches, alone) for batches, _ in found)
    distinct = len(alone) * BATCH
    assert distinct <= sum(decoded for _, decoded in found) <= 1.3 * distinct
    assert not Path(address).parent.exists()


@pytest.mark.slow
def test_without_workers_runs_share_too(motion, alone):
    with clip_server(2**26) as address:
        first, second = (train(motion, address, run, workers=0) for run in "ab")
    assert same(first[0], alone) and same(second[0], alone)
    assert first[1] == len(alone) * BATCH and second[1] < first[1]


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["server", "run", "stopped server"])
def test_a_kill_in_the_middle_changes_no_bit(motion, alone, killed, monkeypatch):
    monkeypatch.setattr("datamodules.sharing.client.DEADLINE", 1.0)
    with clip_server(2**26) as address:
        server = server_of(address)
        runs = [start(motion, address, f"run{i}", "k", 0.05) for i in range(3)]
        time.sleep(0.3)
        if killed == "run":
            os.kill(runs[0][0].pid, signal.SIGKILL)
            runs.pop(0)
        else:
            os.kill(server, signal.SIGKILL if killed == "server" else signal.SIGSTOP)
        found = [ours.recv() for _, ours in runs]
        for process, _ in runs:
            process.join()
        if killed == "stopped server":
            os.kill(server, signal.SIGCONT)
    assert all(same(batches, alone) for batches, _ in found)
    assert not Path(address).parent.exists() and not Path(f"/proc/{server}").exists()


@pytest.mark.slow
def test_whoever_has_other_clips_decodes_them(motion, alone):
    with clip_server(2**26) as address:
        (_, mine), clips = start(motion, address, "a", "k", 0.02), clips_of(motion)
        time.sleep(0.3)
        batches, decoded = train(motion, address, "b", "other", workers=0)
        assert same(batches, alone) and decoded == len(alone) * BATCH
        assert same(mine.recv()[0], alone)
    assert clips.share is None


@pytest.mark.slow
def test_too_little_memory_shares_nothing(motion, alone):
    with clip_server(4096) as address:
        batches, decoded = train(motion, address, "a", workers=0)
    assert same(batches, alone) and decoded == len(alone) * BATCH


@pytest.mark.slow
def test_stand_ins_are_never_shared(motion, tmp_path):
    train_split = motion.splits["train"]
    broken = [*train_split.names()]
    for name in broken:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(Path(train_split.root, name).read_bytes())
    (tmp_path / broken[5]).write_bytes(b"no video")
    data = replace(
        motion, splits={**motion.splits, "train": replace(train_split, root=str(tmp_path))}
    )
    lone = train(data, "", "", workers=0)[0]
    assert any((batch["broken"] == 5).any() for batch in lone)
    with clip_server(2**26) as address:
        found = [train(data, address, run, workers=0) for run in "ab"]
    assert all(same(batches, lone) for batches, _ in found)
    assert found[1][1] >= EPOCHS  # each decodes the stand-ins for itself


@pytest.mark.slow
def test_nothing_is_left_where_whoever_started_the_server_is_killed(tmp_path):
    code = (
        "import sys, time\nfrom datamodules.sharing.servers import clip_server\n"
        "with clip_server(2**26) as address:\n    print(address, flush=True)\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    before = set(os.listdir("/dev/shm"))
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert owner.stdout is not None
    address = owner.stdout.readline().strip()
    server = server_of(address)
    assert oct(Path(address).parent.stat().st_mode)[-3:] == "700"
    owner.kill()
    owner.wait()
    owner.stdout.close()
    end = time.monotonic() + 30
    while list(tmp_path.iterdir()) or Path(f"/proc/{server}").exists():
        assert time.monotonic() < end, "the server outlives whoever started it"
        time.sleep(0.05)
    assert not {each for each in set(os.listdir("/dev/shm")) - before if "clips" in each}


@pytest.mark.slow
def test_what_two_that_were_killed_left_is_tidied_up(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with clip_server(2**26) as alive:
        folder = tmp_path / f"{servers.PREFIX}dead"
        folder.mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
            gone.bind(str(folder / "socket"))
        with clip_server(2**26):
            assert Path(alive).exists() and not folder.exists()


def test_a_slot_keeps_a_clip_and_what_belongs_to_it():
    slots = Slots(anonymous(3 * 8192), 8192)
    pictures = np.arange(48, dtype=np.uint8).reshape(3, 2, 2, 4)
    slots.write(1, pictures.transpose(1, 0, 2, 3), {"noise": 2**62 - 1})
    found, rest = slots.read(1)
    assert np.array_equal(found, pictures.transpose(1, 0, 2, 3)) and rest == {"noise": 2**62 - 1}
    with pytest.raises(ValueError, match="larger than 8192"):
        slots.write(0, np.zeros(8192, np.uint8), {})


def test_at_most_half_of_what_is_free_is_taken(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1000.0)
    assert memory.affordable(2**40) == 500 and memory.affordable(10) == 10


def test_a_key_is_of_everything_a_clip_depends_on(motion, tmp_path, monkeypatch):
    options: dict[str, Any] = {"size": 24, "interpolation": "bilinear", "seed": 3}
    choose: dict[str, Any] = {"name": "uniform", "frames": 4, "interval": 1, "seconds": None}

    def key(data=motion, choose=choose, augment=AUGMENT, **other):
        return training_key(data, choose, augment, **{**options, "decoder": "pyav", **other})

    own = key()
    assert key() == own and len(own) == 64
    held = replace(
        motion, splits={**motion.splits, "train": motion.splits["train"].select(range(8))}
    )
    others = [key(size=32), key(interpolation="bicubic"), key(seed=4), key(decoder="torchcodec")]
    others += [key(choose={**choose, "frames": 8}), key(augment=AS_IT_IS), key(held)]
    others.append(key(replace(motion, flip="ok")))
    monkeypatch.setattr("datamodules.sharing.key.code_fingerprint", lambda: "other code")
    others.append(key())
    monkeypatch.setattr("datamodules.sharing.key._version", lambda package: "0")
    others.append(key())
    first = Path(motion.splits["train"].path(0))
    times = first.stat().st_atime_ns, first.stat().st_mtime_ns
    os.utime(first, ns=(times[0], times[1] + 1000))
    others.append(key())
    os.utime(first, ns=times)
    assert len({own, *others}) == 1 + len(others)
    assert asdict(AUGMENT)["scale"] == [0.3, 1]
