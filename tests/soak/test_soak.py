"""The soak's parts: its faults are its seed's, no bit that differs escapes it, and it can tell."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from aftermath import Aftermath, aftermath, table
from faults import KINDS, ONLY, Met, plan
from same import LEFT_OUT, differences

NAME = "soak/digits_motion/vit_digits/aim/seed0"
RECORD = {
    "metrics": {"top1": 0.5},
    "cost": {"train_seconds": 3.0, "trained_parameters": 7},
    "train": {"curve": [{"loss": 0.1 + 0.2}, {"loss": None}], "resumed": 0, "started": "today"},
}


@pytest.mark.parametrize("on", ["local", "ray", "slurm"])
def test_the_faults_are_those_of_the_seed(on: str) -> None:
    first = plan(on, 20, 0, steps=100)
    assert first == plan(on, 20, 0, steps=100)
    assert [each.kind for each in first] != [each.kind for each in plan(on, 20, 1, steps=100)]
    assert all(10 <= each.steps <= 50 for each in first)


@pytest.mark.parametrize("on", ["local", "ray", "slurm"])
def test_no_kind_of_fault_comes_again_before_each_has_come(on: str) -> None:
    own = [kind for kind in KINDS if ONLY.get(kind, on) == on]
    kinds = [each.kind for each in plan(on, 2 * len(own), 3, steps=100)]
    assert sorted(kinds[: len(own)]) == sorted(kinds[len(own) :]) == sorted(own)


def left(folder: Path) -> Path:
    """Write what a run leaves."""
    record, work = folder / "results" / f"{NAME}.json", folder / "runs" / NAME
    splits = record.parents[3] / "splits"
    for each in (record.parent, splits, work):
        each.mkdir(parents=True)
    record.write_text(json.dumps(RECORD))
    np.savez(record.with_suffix(".npz"), scores=np.linspace(0, 1, 12).reshape(3, 4))
    np.savez(record.with_suffix(".answers.npz"), top1=np.array([5], np.uint8))
    np.savez(splits / "abc.npz", labels=np.arange(3))
    states = [{"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(4.0)}}}]
    saved = {"state_dict": {"head": torch.ones(2, 2)}, "optimizer_states": states}
    torch.save({**saved, "callbacks": {"TrainingMonitor": {"seconds": 1.5}}}, work / "last.ckpt")
    return folder


def flipped(array: np.ndarray) -> np.ndarray:
    """Return a copy of which a bit is another."""
    found = array.copy()
    found.view(np.uint8).reshape(-1)[0] ^= 1
    return found


def test_what_is_the_same_is_found_the_same_whatever_the_clock_says(tmp_path: Path) -> None:
    one, other = left(tmp_path / "one"), left(tmp_path / "other")
    found = json.loads(json.dumps(RECORD))
    found["cost"]["train_seconds"], found["train"]["resumed"] = 9.5, 3
    assert {"cost.train_seconds", "train.resumed"} < {*LEFT_OUT}
    (other / "results" / f"{NAME}.json").write_text(json.dumps(found))
    saved = torch.load(other / "runs" / NAME / "last.ckpt", weights_only=True)
    saved["callbacks"]["TrainingMonitor"]["seconds"] = 9.5
    torch.save(saved, other / "runs" / NAME / "last.ckpt")
    assert differences(one, other, NAME) == []


def test_a_flipped_bit_is_found_and_its_key_told(tmp_path: Path) -> None:
    one, other = left(tmp_path / "one"), left(tmp_path / "other")
    record = other / "results" / f"{NAME}.json"
    found = json.loads(record.read_text())
    found["train"]["curve"][0]["loss"] = 0.3  # 0.1 + 0.2 but for the last bit
    record.write_text(json.dumps(found))
    with np.load(record.with_suffix(".npz")) as arrays:
        changed = flipped(arrays["scores"])
    np.savez(record.with_suffix(".npz"), scores=changed)
    place = other / "runs" / NAME / "last.ckpt"
    saved = torch.load(place, weights_only=True)
    average = saved["optimizer_states"][0]["state"][0]["exp_avg"]
    average.copy_(torch.from_numpy(flipped(average.numpy())))
    torch.save(saved, place)
    keys = {each.split(": ")[1] for each in differences(one, other, NAME)}
    assert keys == {"train.curve.0.loss", "scores", "optimizer_states.0.state.0.exp_avg"}


def test_a_record_that_is_missing_is_told(tmp_path: Path) -> None:
    one, other = left(tmp_path / "one"), left(tmp_path / "other")
    (other / "results" / f"{NAME}.json").unlink()
    (told,) = differences(one, other, NAME)
    assert f"no {other}/results/{NAME}.json" in told


def lines(*told: tuple[float, str, int]) -> list[dict[str, object]]:
    return [{"time": time, "stage": stage, "step": step} for time, stage, step in told]


BEFORE = ((1.0, "start", 0), (2.0, "fit", 1), (3.0, "fit", 18))


@pytest.mark.parametrize(
    ("after", "became"),
    [
        ([(6.0, "fit", 30), (7.0, "done", 0)], Aftermath("kill", "went on")),
        ([(6.0, "start", 0), (7.0, "fit", 16)], Aftermath("kill", "resumed, typed again", 15, 3)),
        ([(4.5, "start", 0), (7.0, "fit", 19)], Aftermath("kill", "resumed, by itself", 18)),
        ([(6.0, "start", 0), (7.0, "fit", 1)], Aftermath("kill", "began anew, typed again", 0, 18)),
        ([(6.0, "start", 0), (7.0, "test", 0)], Aftermath("kill", "was tested again, typed again")),
    ],
)
def test_what_became_of_a_run_is_told_from_its_lines(after: list, became: Aftermath) -> None:
    assert aftermath(Met("kill", 4.0, (NAME,)), lines(*BEFORE, *after), [0.5, 5.0]) == became


def test_what_a_later_fault_did_is_not_the_earlier_ones() -> None:
    told = lines(*BEFORE, (4.5, "fit", 20), (6.0, "start", 0), (7.0, "fit", 21))
    earlier, later = Met("launcher", 4.0, (NAME,)), Met("kill", 5.0, (NAME,))
    assert aftermath(earlier, told, [5.5], until=5.0) == Aftermath("launcher", "went on")
    assert aftermath(later, told, [5.5]) == Aftermath("kill", "resumed, typed again", 20)


def test_the_table_counts_what_the_runs_did() -> None:
    resumed = Aftermath("kill", "resumed, typed again", 15, 3)
    found = {"local": [[resumed], [Aftermath("kill", "resumed, typed again", 5)]]}
    (row,) = table(found, {"local": "4 of 4"}).splitlines()[2:]
    told = "SIGKILL of a run | 2 | 2 resumed, typed again | 15 (3 lost), 5 | 4 of 4"
    assert row == f"| local | {told} |"
