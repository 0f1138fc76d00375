"""One run, from its recipe to its record: train, test once with the last weights, write."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lightning import Trainer, seed_everything
from lightning.fabric.utilities.rank_zero import rank_zero_only

from benchmark.cost import counts
from benchmark.errors import UserError
from benchmark.inference import model_card
from benchmark.models import checkpoint
from benchmark.models.video_vit import VideoViT
from benchmark.recipes import build, compose
from benchmark.recipes.name import RunName
from benchmark.recipes.schema import Recipe
from benchmark.results.record import Record
from benchmark.results.schema import Cost, Epoch, Metrics, ModelCost, Training
from benchmark.runs import progress
from benchmark.runs.folder import CHECKPOINT
from benchmark.tracking.inference_speed import InferenceSpeed
from benchmark.tracking.memory import MemoryMonitor
from benchmark.tracking.memory_limit import MemoryLimit, too_many, within_memory
from benchmark.tracking.monitor import STARTING, TrainingMonitor
from benchmark.tracking.testing import VideosTested
from benchmark.training import evaluation, fsdp
from benchmark.training.checkpointing import AtomicCheckpointIO, CheckpointGuard, ResumeCheckpoint
from benchmark.training.evaluation import Scores
from benchmark.training.outcome import write_results
from benchmark.training.provenance import code_state, data_provenance, environment
from benchmark.training.task import Classification
from benchmark.training.trainer import cluster, devices_of, make_trainer, trainer_arguments
from datamodules import files, sanity
from datamodules.datamodule import VideoDataModule
from datamodules.decoding.open import version
from datamodules.identity import difference, identify
from datamodules.preparation.audit import shared_content
from datamodules.progress_bar import ProgressBar

if TYPE_CHECKING:
    from benchmark.tracking.wandb_callback import WandbCallback

GIB = 2**30


def train(recipe: Recipe) -> Record:
    """Train and test `recipe`, write its record and answers per video, and return the record.

    Training goes on from the run's last checkpoint, where there is one. The test split is read
    once, at the end, with the last weights.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    # Now: whoever edits it meanwhile does not edit what runs.
    code, own = code_state(), compose.own_code(recipe)
    folder = files.RUNS / recipe.name
    recipe = within_memory(recipe, folder)
    patience = recipe.patience.step
    rank_zero_only(progress.write)(
        folder, stage="start", devices=devices_of(recipe), within=STARTING * patience
    )
    last = folder / CHECKPOINT
    if last.exists():
        checkpoint.demand_resumable(last)
    seed_everything(recipe.seed, workers=True, verbose=False)
    dataset = build.dataset(recipe)
    sanity.demand_trainable(dataset, recipe.train.batch)
    copies = shared_content(dataset)
    doubts = sanity.doubts(dataset)  # who started the run has told these
    if copies:
        tested = f"{len(copies)} {dataset.evaluation_split} videos"
        doubts.append(f"{dataset.name}: {tested} have the content of training videos, by its audit")
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    datamodule = build.datamodule(recipe, dataset)
    data = identify(datamodule.data)
    model, weights = build.model(recipe, datamodule.num_classes)
    counted = counts.model_costs(  # now: it may be sharded in training
        model, size=recipe.clip.size, views=recipe.test.clips * recipe.test.crops
    )
    steps = recipe.train.epochs * datamodule.steps
    task = classification(recipe, model, steps)

    clips, videos = recipe.train.epochs * datamodule.used, _to_test(task, datamodule)
    monitor = TrainingMonitor(folder, _test_share(counted, clips, videos), patience)
    memory, speed = MemoryMonitor(), InferenceSpeed()
    wandb = _wandb_callback(recipe, folder, monitor)
    trainer = make_trainer(
        recipe,
        **trainer_arguments(recipe),
        max_epochs=recipe.train.epochs,
        deterministic="warn",
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if recipe.train.holdout else 0,
        callbacks=[
            *(monitor, memory, speed),  # before what asks them or saves their state
            *([wandb] if wandb else []),
            CheckpointGuard(recipe, checkpoint.frozen_fingerprint(model), data),
            ResumeCheckpoint(last, steps=recipe.save.steps, minutes=recipe.save.minutes),
            VideosTested(monitor.tested),
            MemoryLimit(recipe, folder, datamodule.num_classes, datamodule.least),
        ],
        plugins=[AtomicCheckpointIO(), *cluster()],
        default_root_dir=folder,
    )
    trainer.accumulate_grad_batches = datamodule.accumulation(trainer.world_size)
    trainer.fit(task, datamodule, ckpt_path=last if last.exists() else None, weights_only=True)

    start = time.perf_counter()
    try:
        if trainer.is_global_zero:
            monitor.start_test(videos)
        if _merges(task) and not recipe.cache:  # it is tested twice
            datamodule.keep_views(recipe.sharing.gib * GIB)
        scores = evaluate(trainer, task, datamodule)
        test_seconds = time.perf_counter() - start
        merged = evaluate_merged(trainer, task, datamodule)
        metrics = _metrics(datamodule, scores, merged)
    except FloatingPointError as error:
        step = trainer.global_step
        raise FloatingPointError(f"{error}, after step {step}; {progress.DIVERGED}") from None

    result = Record(
        name=recipe.name,
        recipe=asdict(recipe),
        metrics=metrics,
        cost=Cost(
            **asdict(counted),
            **monitor.times(),
            **memory.peaks(),
            test_seconds=round(test_seconds, 2),
            inference_clips_per_second=speed.clips_per_second(),
            device_seconds=round(progress.device_seconds(folder), 2),
        ),
        data=data_provenance(datamodule, data, monitor.broken, scores, copies),
        environment=environment(
            code, own, weights, version(recipe.decoder), trainer, too_many(folder)
        ),
        train=Training(
            epochs=recipe.train.epochs,
            steps=trainer.global_step,
            curve=tuple(Epoch(**each) for each in monitor.curve),
            resumed=monitor.resumed,
            started=started,
        ),
    )
    card: list[Path] = []
    if trainer.is_global_zero:
        split = datamodule.data.splits[datamodule.evaluation_split]
        write_results(result, split, scores, merged, keep_scores=recipe.save.scores, folder=folder)
        card = _card(last, recipe, result)
        progress.write(folder, stage="done", top1=result.metrics.top1)
    if wandb:
        results = {"metrics": asdict(result.metrics), "cost": asdict(result.cost)}
        wandb.finish(trainer, results, files=[last, *card] if recipe.wandb.checkpoint else ())
    return result


def _card(checkpoint_: Path, recipe: Recipe, found: Record) -> list[Path]:
    """Write the card of a run's checkpoint, and return where; no failure fails the run."""
    try:
        return [model_card.write(checkpoint_, recipe, found.data.classes, found)]
    except (UserError, OSError) as error:
        print(f"warning: no model card: {error}", file=sys.stderr)
        return []


def test(saved: checkpoint.Checkpoint, recipe: Recipe, *, other_videos: bool = False) -> Metrics:
    """Return the metrics of a checkpoint under `recipe`, before and after merging if it merges.

    Args:
        saved: The checkpoint.
        recipe: What it is tested as, and on.
        other_videos: Whether the videos may be others than those listed when it was trained. The
            classes may not.

    Raises:
        UserError: the checkpoint is another model's, was trained on other data, or its scores are
            not finite.
    """
    datamodule = build.datamodule(recipe)
    task = restore(saved, recipe, datamodule, other_videos=other_videos)
    with ProgressBar("testing", _to_test(task, datamodule)) as told:
        trainer = testing_trainer(recipe, told.advance)
        try:
            scores = evaluate(trainer, task, datamodule)
            return _metrics(datamodule, scores, evaluate_merged(trainer, task, datamodule))
        except FloatingPointError as error:
            raise UserError(
                f"{error}: the checkpoint is broken, or needs a wider precision"
            ) from None


def restore(
    saved: checkpoint.Checkpoint,
    recipe: Recipe,
    datamodule: VideoDataModule,
    *,
    other_videos: bool = False,
) -> Classification:
    """Return a checkpoint's model as what `recipe` tests on the videos of `datamodule`.

    Args:
        saved: The checkpoint.
        recipe: What it is tested as.
        datamodule: What it is tested on.
        other_videos: Whether the videos may be others than those listed when it was trained. The
            classes may not.

    Raises:
        UserError: the checkpoint is another model's, or was trained on other data.
    """
    today = identify(datamodule.data)
    if saved.data and (changed := difference(saved.data, today)):
        if saved.data.classes != today.classes:
            raise UserError(f"the checkpoint was trained for other classes: {changed}")
        if not other_videos:
            raise UserError(
                f"the checkpoint was trained on other data: {changed}; to test it on these videos, "
                "say as which run: test FILE NAME"
            )
    return classification(recipe, build.model_of(saved, recipe, datamodule.num_classes))


def testing_trainer(recipe: Recipe, tell: Callable[[int], None]) -> Trainer:
    """Return a Trainer that tests on one device, and tells after every batch how many videos more.

    Raises:
        UserError: Lightning has no such device or precision here.
    """
    accelerator = recipe.trainer.accelerator
    return make_trainer(recipe, accelerator=accelerator, devices=1, callbacks=[VideosTested(tell)])


def load_run(name: str, overrides: Sequence[str] = ()) -> tuple[Classification, VideoDataModule]:
    """Return any run as a LightningModule and its data, for anyone's own Trainer.

    Args:
        name: `protocol/data/backbone/method`, with `/seedN` or without.
        overrides: `key=value`, as on the command line.
    """
    recipe = compose.load(name, overrides)
    datamodule = build.datamodule(recipe)
    model, _ = build.model(recipe, datamodule.num_classes)
    return classification(recipe, model), datamodule


def classification(recipe: Recipe, model: VideoViT, steps: int | None = None) -> Classification:
    """Return the training of `model` as `recipe` says, of so many optimiser steps."""
    return Classification(
        model,
        **asdict(recipe.optim),
        label_smoothing=recipe.train.label_smoothing,
        lean=recipe.train.lean,
        test_batch=recipe.test.batch,
        seed=recipe.seed,
        steps=steps,
    )


def evaluate(
    trainer: Trainer,
    task: Classification,
    datamodule: VideoDataModule,
    model: VideoViT | None = None,
) -> Scores:
    """Return the scores of every video from one pass over them, of `model` if it is not the task's.

    All that else belongs to the task stays its own: precision, batches, ranks.
    """
    own = task.model
    task.model = own if model is None else model
    try:
        trainer.test(task, datamodule, verbose=False)
    finally:
        task.model = own
    assert task.evaluated is not None
    return task.evaluated


def evaluate_merged(
    trainer: Trainer, task: Classification, datamodule: VideoDataModule
) -> Scores | None:
    """Return the scores of every video after merging, or None if nothing merges.

    Nor is there anything where no device holds the whole model.
    """
    return evaluate(trainer, task, datamodule, task.model.merge()) if _merges(task) else None


def _metrics(datamodule: VideoDataModule, scores: Scores, merged: Scores | None) -> Metrics:
    """Return what `scores` come to, and what is different of the merged model's, if there are."""
    return Metrics(
        **evaluation.metrics(scores),
        **evaluation.merging(scores, merged),
        chance=evaluation.chance(scores),
        videos=len(scores.index),
        split=datamodule.evaluation_split,
    )


def _merges(task: Classification) -> bool:
    return task.model.mergeable and not fsdp.is_sharded(task.model)


def _to_test(task: Classification, datamodule: VideoDataModule) -> int:
    """Return how many videos a test goes through, what merges being tested twice."""
    videos = len(datamodule.data.splits[datamodule.evaluation_split])
    return 2 * videos if _merges(task) else videos


def _test_share(counted: ModelCost, clips: int, videos: int) -> float | None:
    """Return which part of the work of training and test is the test.

    Args:
        counted: What the model costs.
        clips: Trained on, in all.
        videos: Tested, over all passes.
    """
    test = videos * counted.views * counted.macs_per_view
    work = test + clips * (counted.training_macs or 0)
    return test / work if work else None


def _wandb_callback(recipe: Recipe, folder: Path, monitor: TrainingMonitor) -> WandbCallback | None:
    if not recipe.wandb.enabled:
        return None
    from benchmark.tracking.wandb_callback import WandbCallback  # wandb takes a second to import

    return WandbCallback(
        recipe.name,
        folder,
        monitor,
        project=recipe.wandb.project,
        group=os.environ.get("BENCHMARK_SWEEP", RunName.parse(recipe.name).protocol),
        config=asdict(recipe),
    )
