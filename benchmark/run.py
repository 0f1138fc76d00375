"""From a recipe to a record. `python -m benchmark.run NAME [key=value ...]` is a run's process."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from benchmark import account, build, checkpoint, evaluation, launch, progress, record, shard
from benchmark.errors import UserError
from benchmark.process import STOPPED
from benchmark.recipe import changes, load
from benchmark.record import Record
from benchmark.save import Save, Stopped, WholeFiles
from benchmark.schema import Recipe
from benchmark.task import Classification
from benchmark.watch import Watch
from benchmark.whole import whole
from datamodules._video import VideoDataModule
from datamodules.decoding.footage import DecodeError
from datamodules.decoding.frames import version

if TYPE_CHECKING:
    from benchmark.window import Window


class Origin(Callback):
    """Write recipe and frozen weights into every checkpoint, and refuse one that has others."""

    def __init__(self, recipe: Recipe, base: str) -> None:
        self.recipe, self.base = asdict(recipe), base

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add both."""
        checkpoint["recipe"], checkpoint["base"] = self.recipe, self.base

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Compare both."""
        if changed := changes(checkpoint["recipe"], self.recipe):
            listed = ", ".join(f"{key} was {a}, is {b}" for key, (a, b) in changed.items())
            raise UserError(f"the run's checkpoint comes from another recipe: {listed}")
        if checkpoint["base"] != self.base:
            raise UserError("the run's checkpoint comes from other backbone weights")


def run(recipe: Recipe) -> Record:
    """Train and test `recipe`, write its record and per-video scores, and return the record.

    Training goes on from the run's last checkpoint, where there is one. The test split is read
    once, at the end, with the last weights.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    code = record.code_state()  # now: whoever edits it meanwhile does not edit what runs
    folder = record.RUNS / recipe.name
    progress.write(folder, stage="start")
    seed_everything(recipe.seed, workers=True, verbose=False)
    data = build.datamodule(recipe)
    video_vit, fingerprint = build.model(recipe, data.num_classes)
    counts = account.counts(recipe, video_vit)  # now: it may be sharded in training
    classification = build.task(recipe, video_vit, recipe.train.epochs * data.steps)

    watch = Watch(folder)
    window = _window(recipe, folder, watch)
    last = folder / "last.ckpt"
    trainer = Trainer(
        **_place(recipe),
        max_epochs=recipe.train.epochs,
        deterministic="warn",
        use_distributed_sampler=False,  # it pads: VideoDataModule shards by itself
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if recipe.train.holdout else 0,
        callbacks=[
            watch,  # before what asks it or saves its state
            *([window] if window else []),
            Origin(recipe, checkpoint.base(video_vit)),
            Save(last, steps=recipe.save.steps, minutes=recipe.save.minutes),
        ],
        plugins=[WholeFiles(), *_cluster()],
        enable_checkpointing=False,  # Lightning's own
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.accumulate_grad_batches = data.accumulation(trainer.world_size)
    trainer.fit(classification, data, ckpt_path=last if last.exists() else None, weights_only=True)

    start = time.perf_counter()
    progress.write(folder, stage="test")
    scores = evaluate(trainer, classification, data)
    test_seconds = time.perf_counter() - start
    metrics = evaluation.metrics(scores) | merged_metrics(trainer, classification, data)

    result = Record(
        name=recipe.name,
        recipe=asdict(recipe),
        metrics={**metrics, "videos": len(scores.index), "split": data.evaluation_split},
        cost=counts | account.measured(watch, test_seconds),
        data=account.facts(data, watch, scores),
        environment=account.environment(code, fingerprint, version(recipe.decoder), trainer),
        train={
            "epochs": recipe.train.epochs,
            "steps": trainer.global_step,
            "curve": watch.curve,
            "resumed": watch.resumed,
            "started": started,
        },
    )
    if trainer.is_global_zero:
        path = record.path(recipe.name)
        _write_scores(path.with_suffix(".npz"), scores)
        result.write()  # last: its being there says the run is done
        progress.write(folder, stage="done", top1=result.metrics["top1"])
    if window:
        window.finish(trainer, {"metrics": result.metrics, "cost": result.cost})
    return result


def _place(recipe: Recipe) -> dict[str, Any]:
    """Return the arguments of a Trainer that say where it trains."""
    place = asdict(recipe.trainer)
    if place["strategy"] == shard.NAME:
        place["strategy"] = shard.strategy(place["devices"] * place["num_nodes"])
    return place


def _cluster() -> list[SLURMEnvironment]:
    """Return how a task of Slurm's finds the others; who requeues it is `on_slurm`'s affair."""
    return [SLURMEnvironment(auto_requeue=False)] if "SLURM_NTASKS" in os.environ else []


def evaluate(
    trainer: Trainer, classification: Classification, data: VideoDataModule
) -> evaluation.Scores:
    """Return the scores of every video, from one pass over them."""
    trainer.test(classification, data, verbose=False)
    assert classification.evaluated is not None
    return classification.evaluated


def merged_metrics(
    trainer: Trainer, classification: Classification, data: VideoDataModule
) -> dict[str, float]:
    """Return the accuracy after merging, and what merging changed; nothing if nothing merges.

    Nor is there anything where no device holds the whole model.
    """
    if shard.is_sharded(classification.model):
        return {}
    unmerged, before = classification.model, classification.evaluated
    try:
        classification.model = unmerged.merge()
    except ValueError:
        return {}
    after = evaluate(trainer, classification, data)
    classification.model = unmerged
    assert before is not None
    top1 = evaluation.metrics(after)["top1"]
    return {
        "merged_top1": top1,
        "merged_top1_change": top1 - evaluation.metrics(before)["top1"],
        "merged_score_change": float((after.scores - before.scores).abs().max()),
    }


def test(saved: checkpoint.Checkpoint, recipe: Recipe) -> dict[str, float]:
    """Return the metrics of a checkpoint under `recipe`, before and after merging if it merges."""
    data = build.datamodule(recipe)
    video_vit, _ = build.model(recipe, data.num_classes)
    video_vit = video_vit.merge() if saved.merged else video_vit
    checkpoint.load(video_vit, saved)
    classification = build.task(recipe, video_vit)
    trainer = Trainer(
        accelerator=recipe.trainer.accelerator,
        devices=1,
        precision=recipe.trainer.precision,  # type: ignore[arg-type]
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    metrics = evaluation.metrics(evaluate(trainer, classification, data))
    return metrics | merged_metrics(trainer, classification, data)


def _window(recipe: Recipe, folder: Path, watch: Watch) -> Window | None:
    if not recipe.wandb.enabled:
        return None
    from benchmark.window import Window  # wandb takes a second to import

    return Window(
        recipe.name,
        folder,
        watch,
        project=recipe.wandb.project,
        group=os.environ.get("BENCHMARK_SWEEP", recipe.name.split("/")[0]),
        config=asdict(recipe),
    )


def _write_scores(path: Path, scores: evaluation.Scores) -> None:
    with whole(path) as file:
        np.savez_compressed(
            file,
            index=scores.index.numpy(),
            label=scores.label.numpy(),
            scores=scores.scores.numpy(),
            clips_right=scores.clips_right.numpy(),
        )


NOISE = (  # what Lightning says in vain here
    "The `srun` command is available",  # a run outside of Slurm is meant to be
    ".*LeafSpec",  # lightning 2.6 on torch 2.15
    "You're resuming from a checkpoint that ended before the epoch",  # our samplers resume
    "It is recommended to use .*sync_dist=True",  # every rank has the same number
    ".*does not have many workers",
)


def _quiet() -> None:
    """Leave in the log what somebody can do something about."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)


def _reason(error: BaseException) -> str:
    """Return in one line why a run ended, empty where only a traceback can tell."""
    said = str(error).strip().splitlines() or [""]
    match error:
        case UserError() | FloatingPointError() | Stopped():
            return said[0]
        case DecodeError():  # of a loader worker, whose traceback stands before it
            return said[-1].removeprefix(f"{DecodeError.__module__}.DecodeError: ")
        case torch.OutOfMemoryError():
            return "out of memory on the device; give max_batch_per_device=N, the clips that fit"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EROFS | errno.EACCES):
            file = f"{error.filename}: " if error.filename else ""
            return f"{file}{error.strerror}; what was saved before is kept, start again to go on"
        case RuntimeError() if "DataLoader worker" in said[0] and len(said) == 1:
            return f"{said[0]}; what was saved before is kept, start again to go on"
        case _:
            return ""


def _demand_writable(folder: Path) -> None:
    """Raise a UserError if nothing can be written to `folder`: now, not after days of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: no record could be written here: {error.strerror}") from None


def main(argv: Sequence[str]) -> int:
    """Run one recipe in this process; its last progress line says in one line how it ended."""
    recipe = load(argv[0], argv[1:])
    folder = record.RUNS / recipe.name
    if recipe.trainer.accelerator == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    launch.die_with_parent()
    _quiet()
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # as torchrun, Lightning or Slurm say it
    first = not any(int(os.environ.get(each, "0")) for each in ranks)
    with contextlib.ExitStack() as stack:
        if first:
            try:
                stack.enter_context(launch.lock(folder))
            except UserError as error:  # whose folder it is goes on telling of itself there
                print(error, file=sys.stderr)
                return 2
        try:
            _demand_writable(record.path(recipe.name).parent)
            run(recipe)
        except (Exception, KeyboardInterrupt) as error:
            return _ended(error, folder, first)
    return 0


def _ended(error: BaseException, folder: Path, first: bool) -> int:
    """Tell why a run ended before its end, and return its exit code."""
    stopped, line = isinstance(error, Stopped), _reason(error)
    told = line or traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
    with contextlib.suppress(OSError):  # the disk may be full
        progress.write(folder, stage="preempted" if stopped else "failed", message=told)
    if line:
        print(line, file=sys.stderr)
    else:
        traceback.print_exception(error)
    if stopped:
        return STOPPED if first else 0  # Lightning takes another rank's code for a crash
    return 2 if isinstance(error, UserError) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
