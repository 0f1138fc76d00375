"""What wandb shows of a run, read back from its files or a server; and that no run needs it."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb
import wandb_offline
from forked import RANKS, Process
from lightning import Callback, LightningModule, Trainer
from small_sweep import saved
from torch import Tensor
from wandb_server import Server

from benchmark.errors import UserError
from benchmark.runs.folder import held
from benchmark.tracking import wandb_callback, wandb_session, wandb_sync
from benchmark.tracking.monitor import TrainingMonitor
from benchmark.tracking.wandb_callback import WandbCallback
from benchmark.tracking.wandb_session import run_id

pytestmark = pytest.mark.slow

NAME = "quick/data/backbone/method/seed0"
ID = run_id(NAME)
BATCHES, BATCH, EPOCHS = 6, 2, 2
STEPS = BATCHES * EPOCHS


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / name))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    wandb.teardown()  # it remembers the environment it met first
    yield
    wandb.teardown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    log_in(server.url, monkeypatch)
    yield server
    wandb.teardown()
    server.close()


def log_in(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    wandb.teardown()


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


class Task(LightningModule):
    """Its loss is the mean of what it is given: of batch i of an epoch, 2 i + 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        loss = batch["x"].mean() + 0 * self.weight
        return {"loss": loss, "loss_sum": loss.detach() * BATCH, "right": torch.tensor(1)}

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/top1", (self.current_epoch + 1) / 4)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(
            [{"params": [self.weight], "lr": 1.0}, {"params": [torch.zeros(1)], "lr": 3.0}]
        )
        halved = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": halved, "interval": "step"}}


class Clips:
    """Batches of an epoch: of the numbers 0, 1, 2, ..., two by two; goes on where it was."""

    def __init__(self) -> None:
        self.at = 0

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        self.at %= BATCHES
        while self.at < BATCHES:
            x = torch.tensor([2.0 * self.at, 2.0 * self.at + 1])
            self.at += 1
            yield {"x": x, "label": torch.zeros(BATCH), "broken": -torch.ones(BATCH)}

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.at = state_dict["at"]


class At(Callback):
    """Do something at the end of a step, after a checkpoint at an earlier one."""

    def __init__(self, step: int, do: Any, *, save: int, file: Path) -> None:
        self.step, self.do, self.save, self.file = step, do, save, file

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        if trainer.global_step == self.save and not trainer.is_last_batch:
            trainer.save_checkpoint(self.file)
        if trainer.global_step == self.step:
            self.do()

    def on_train_epoch_end(self, trainer: Trainer, *rest: Any) -> None:
        if trainer.global_step == self.save:
            trainer.save_checkpoint(self.file)


def run(
    folder: Path, *, at: int = 0, do: Any = None, save: int = 4, keep: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """Train in `folder` from its checkpoint, if there is one, and return what was measured."""
    file = folder / "last.ckpt"
    watch = TrainingMonitor(folder)
    shown = WandbCallback(
        NAME, folder, watch, project="p", group="sweep", config={"a": {"b": [1, None]}}
    )
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        callbacks=[watch, shown, At(at, do, save=save, file=file)],
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    found = file if file.exists() else None
    if wandb_offline.files(folder):
        time.sleep(1.1)  # wandb names its folders by the second
    try:
        trainer.fit(Task(), Clips(), Clips(), ckpt_path=found, weights_only=True)
        results = {"metrics": {"top1": 0.5, "split": "test"}, "cost": {"views": 3, "peak": None}}
        shown.finish(trainer, results, files=keep)
    finally:
        wandb.teardown()  # as at the end of a process: offline, it writes until then
    return {"steps": trainer.global_step, "history": shown.history, "curve": watch.curve}


def stop() -> None:
    raise RuntimeError("stopped")


def steps(folder: Path) -> list[int]:
    """Return the steps that all of wandb's files in a folder show, in order."""
    rows = [row for file in wandb_offline.files(folder) for row in wandb_offline.read(file).history]
    assert all(row["step"] == row["_step"] for row in rows)
    return [row["step"] for row in rows]


def test_a_point_is_of_its_own_steps(tmp_path: Path) -> None:
    run(tmp_path)
    (file,) = wandb_offline.files(tmp_path)
    shown = wandb_offline.read(file)
    assert [row["step"] for row in shown.history] == list(range(1, STEPS + 1))
    for row in shown.history:
        step = row["step"]
        assert row["train/loss"] == 2 * ((step - 1) % BATCHES) + 0.5
        assert row["train/top1"] == 0.5
        assert row["lr/group0"] == 0.5 ** (step - 1)  # the step's, not the next one's
        assert row["lr/group1"] == 3 * 0.5 ** (step - 1)
        assert row["epoch"] == pytest.approx(step / BATCHES)
        assert 0 <= row["speed/data_wait"] <= 1
        assert row["speed/clips_per_second"] > 0
        assert row["memory/peak_bytes"] > 1e7
    ends = [row for row in shown.history if "val/top1" in row]
    assert [(row["step"], row["val/top1"]) for row in ends] == [(6, 0.25), (12, 0.5)]
    assert [row["epoch/loss"] for row in ends] == [5.5, 5.5]


def test_a_run_says_what_it_is_and_what_came_out(tmp_path: Path) -> None:
    run(tmp_path)
    (file,) = wandb_offline.files(tmp_path)
    shown = wandb_offline.read(file)
    assert (shown.id, shown.group, shown.job_type) == (ID, "sweep", "method")
    assert sorted(shown.tags) == ["backbone", "data", "quick", "seed0"]
    assert shown.config == {"a": {"b": [1, None]}}
    assert shown.step_metrics == {"step": "", "epoch": "step", "*": "step"}
    assert shown.summary == {"metrics/top1": 0.5, "metrics/split": "test", "cost/views": 3}
    assert shown.exit_code == 0


def test_a_checkpoint_and_its_card_are_kept_when_asked(tmp_path: Path) -> None:
    run(tmp_path / "plain")
    kept = tmp_path / "model.ckpt", tmp_path / "model.md"
    for file in kept:
        file.write_text(file.name)
    run(tmp_path / "kept", keep=kept)
    plain, whole = (
        wandb_offline.read(wandb_offline.files(tmp_path / name)[0]) for name in ("plain", "kept")
    )
    assert not plain.artifacts and whole.artifacts == {f"model/{ID}": {"model.ckpt", "model.md"}}
    assert whole.summary["metrics/top1"] == 0.5 and whole.exit_code == 0


def test_long_runs_have_sparse_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_callback, "POINTS", 3)
    run(tmp_path)
    assert steps(tmp_path) == [4, 6, 8, 12]  # every 4th, and the ends of epochs
    losses = [
        row["train/loss"] for row in wandb_offline.read(*wandb_offline.files(tmp_path)).history
    ]
    assert losses == [3.5, 9.5, 1.5, 7.5]  # means since the last point


@pytest.mark.parametrize(("points", "save", "stopped"), [(200, 4, 9), (3, 9, 10)])
def test_a_stopped_run_goes_on_as_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: int, save: int, stopped: int
) -> None:
    monkeypatch.setattr(wandb_callback, "POINTS", points)
    whole = run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped"):
        run(tmp_path / "again", at=stopped, do=stop, save=save)
    told = steps(tmp_path / "again")
    assert told == [step for step in whole["history"] if step <= stopped]
    resumed = run(tmp_path / "again")
    (file,) = wandb_offline.files(tmp_path / "again")
    assert wandb_offline.read(file).id == ID
    assert steps(tmp_path / "again") == list(whole["history"])
    for key in ("train/loss", "lr/group0", "epoch"):
        values = [[row[key] for row in each["history"].values()] for each in (whole, resumed)]
        assert values[0] == values[1]


def test_a_run_killed_after_training_is_shown_whole(tmp_path: Path) -> None:
    run(tmp_path, save=STEPS)
    assert run(tmp_path)["steps"] == STEPS  # nothing is left to train
    assert steps(tmp_path) == list(range(1, STEPS + 1))


def test_begun_again_a_run_takes_its_own_place(tmp_path: Path) -> None:
    run(tmp_path, save=0)
    run(tmp_path, save=0)
    assert len(wandb_offline.files(tmp_path)) == 1
    assert steps(tmp_path) == list(range(1, STEPS + 1))


def test_disabled_is_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    wandb.teardown()
    assert run(tmp_path)["steps"] == STEPS
    assert not wandb_offline.files(tmp_path)


def told(capfd: pytest.CaptureFixture[str]) -> str:
    """Return the one warning there is."""
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning")]
    return line


def test_a_run_goes_on_where_wandb_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: Any) -> None:
        raise wandb.Error("no space left\nmore of it")

    monkeypatch.setattr(wandb, "init", broken)
    found = run(tmp_path)
    assert found["steps"] == STEPS and len(found["curve"]) == EPOCHS
    assert told(capfd) == "warning: wandb: no space left; the run goes on without it"


def test_a_run_goes_on_where_wandb_cannot_write(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wandb").write_text("a file where wandb's folder should be")
    assert run(tmp_path)["steps"] == STEPS
    assert "the run goes on without it" in told(capfd)


def test_a_run_goes_on_when_wandb_is_killed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = []

    def kill() -> None:
        killed.append(service())
        killed[0].kill()

    assert run(tmp_path, at=8, do=kill)["steps"] == STEPS
    assert killed[0].wait() == -signal.SIGKILL
    assert "the run goes on without it" in told(capfd)


def service() -> "subprocess.Popen[bytes]":
    """Return the process that wandb started for this one."""
    processes = [each for each in gc.get_objects() if type(each) is subprocess.Popen]
    (found,) = [
        each for each in processes if "wandb-core" in str(each.args) and each.poll() is None
    ]
    return found


def test_without_an_answer_a_run_is_kept_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log_in(f"http://127.0.0.1:{closed_port()}", monkeypatch)
    monkeypatch.setattr(wandb_session, "PATIENCE", 1.0)
    start = time.monotonic()
    assert run(tmp_path)["steps"] == STEPS
    assert time.monotonic() - start < 30
    assert told(capfd).endswith("it is kept offline")
    assert len(list((tmp_path / "wandb").glob("*run-*-*"))) == 1
    assert steps(tmp_path) == list(range(1, STEPS + 1))


def test_a_server_gets_every_step_once(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        run(tmp_path, at=9, do=stop)
    assert server.steps(ID) == list(range(1, 10))  # the checkpoint ends with step 4
    run(tmp_path)
    assert list(server.runs) == [ID]
    assert server.steps(ID) == list(range(1, STEPS + 1))
    assert server.runs[ID]["summary"]["metrics/top1"] == 0.5
    assert server.runs[ID]["config"]["a"]["value"] == {"b": [1, None]}
    assert "Tried to log" not in capfd.readouterr().err


def test_what_a_vanished_server_did_not_get_is_uploaded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    first = Server()
    log_in(first.url, monkeypatch)
    monkeypatch.setattr(wandb_session, "FAREWELL", 1.0)
    assert run(tmp_path, at=8, do=first.close)["steps"] == STEPS
    assert told(capfd).endswith("make wandb-sync uploads what is left")
    second = Server()
    log_in(second.url, monkeypatch)
    monkeypatch.setattr("datamodules.files.RUNS", tmp_path)
    program = "import sys, pathlib\nfrom benchmark.runs.folder import lock\n"
    program += "with lock(pathlib.Path(sys.argv[1])): input()"
    at_work = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE)
    while not held(tmp_path):
        time.sleep(0.01)
    assert wandb_sync.upload() == 0  # the run may still be writing
    at_work.communicate(b"\n")
    assert not second.runs
    assert wandb_sync.upload() == 0
    assert second.steps(ID) == list(range(1, STEPS + 1))
    assert wandb_sync.upload() == 0
    assert "nothing to upload" in capfd.readouterr().out
    second.close()


def test_uploading_needs_a_login_and_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.files.RUNS", tmp_path)
    run(tmp_path)
    with pytest.raises(UserError, match="1 offline to upload, but not logged in"):
        wandb_sync.upload()
    url = f"http://127.0.0.1:{closed_port()}"
    log_in(url, monkeypatch)
    with pytest.raises(UserError, match=f"no wandb server answers at {url}"):
        wandb_sync.upload()


def test_two_ranks_and_a_kill_are_one_run(tmp_path: Path) -> None:
    name = "quick/digits_motion/vit_digits/zeroi2v/seed1"
    small = ["data.train=48", "data.holdout=16", "data.test=16", "train.batch=8", "train.epochs=2"]
    command = [*RANKS, "benchmark.run", name, *small, "train.holdout=0.25", "trainer.devices=2"]
    places = {"RUNS": str(tmp_path / "runs"), "RESULTS": str(tmp_path / "results")}
    env = {**os.environ, **places, "BENCHMARK_SWEEP": "small"}
    killed = Process(*command, "save.steps=3", env=env)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not saved(tmp_path, "zeroi2v"):
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not list((tmp_path / "results").rglob("seed1.json"))
    again = Process(*command, env=env)
    assert again.communicate()[0] is None and again.returncode == 0

    (result,) = (tmp_path / "results").rglob("seed1.json")
    record = json.loads(result.read_text())
    assert record["environment"]["world_size"] == 2 and record["train"]["resumed"] == 1
    (file,) = wandb_offline.files(tmp_path / "runs")
    shown = wandb_offline.read(file)
    assert shown.id == run_id(record["name"])
    assert (shown.group, shown.job_type) == ("small", record["name"].split("/")[-2])
    assert sorted(shown.tags) == ["digits_motion", "quick", "seed1", "vit_digits"]
    assert shown.config == record["recipe"]
    assert steps(tmp_path) == list(range(1, record["train"]["steps"] + 1))
    ends = [row for row in shown.history if "epoch/loss" in row]
    keys = {"epoch/loss": "loss", "epoch/top1": "top1", "val/top1": "val_top1"}
    curve = [{key: entry[k] for key, k in keys.items()} for entry in record["train"]["curve"]]
    assert [{key: row[key] for key in keys} for row in ends] == curve
    numbers = {
        f"{part}/{key}": value
        for part in ("metrics", "cost")
        for key, value in record[part].items()
        if value is not None
    }
    assert shown.summary == numbers and "metrics/top1" in numbers
