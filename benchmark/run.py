"""From a recipe to a record. `python -m benchmark.run NAME [key=value ...]` is a run's process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from benchmark import backbone, checkpoint, cost, evaluation, launch, progress, record
from benchmark.errors import UserError
from benchmark.lookup import find
from benchmark.model import VideoViT
from benchmark.recipe import Recipe, changes, load
from benchmark.record import Record
from benchmark.task import Classification
from benchmark.watch import Watch
from datamodules._video import VideoDataModule

PACKAGES = ("torch", "torchvision", "lightning", "timm", "av", "pytorchvideo", "torchmetrics")


def datamodule(recipe: Recipe) -> VideoDataModule:
    """Return the data of `recipe`."""
    return VideoDataModule(
        _call("datamodules", recipe.data),
        frames=recipe.clip.frames,
        size=recipe.clip.size,
        sampling=recipe.clip.sampling,
        interval=recipe.clip.interval,
        batch=recipe.train.batch,
        scale=recipe.train.augment.scale,
        ratio=recipe.train.augment.ratio,
        flip=recipe.train.augment.flip,
        test_batch=recipe.test.batch,
        clips=recipe.test.clips,
        crops=recipe.test.crops,
        mean=recipe.backbone.mean,
        std=recipe.backbone.std,
        holdout=recipe.train.holdout,
        workers=recipe.workers,
        seed=recipe.seed,
    )


def model(recipe: Recipe, num_classes: int) -> tuple[VideoViT, str]:
    """Return the model of `recipe`, changed by its method, and its backbone's fingerprint.

    What is new in it is drawn from the recipe's seed.
    """
    b = recipe.backbone
    vit = backbone.load(b.name, size=recipe.clip.size, weights=b.weights, options=b.options)
    fingerprint = backbone.fingerprint(vit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        video_vit = VideoViT(vit, recipe.clip.frames, num_classes, recipe.train.head_dropout)
        _call("benchmark.methods", recipe.method, video_vit)
    return video_vit, fingerprint


def task(recipe: Recipe, video_vit: VideoViT) -> Classification:
    """Return the training of `video_vit` as `recipe` says."""
    return Classification(
        video_vit,
        **asdict(recipe.optim),
        label_smoothing=recipe.train.label_smoothing,
        test_batch=recipe.test.batch,
        seed=recipe.seed,
    )


def _call(package: str, named: Mapping[str, Any], *arguments: object) -> Any:
    """Call the function that `named` names, with the rest of `named`."""
    options = {key: value for key, value in named.items() if key != "name"}
    try:
        return find(package, named["name"])(*arguments, **options)
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"{named['name']}: {error}") from error


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
    data = datamodule(recipe)
    video_vit, fingerprint = model(recipe, data.num_classes)
    classification = task(recipe, video_vit)

    watch = Watch(folder)
    last = folder / "last.ckpt"
    trainer = Trainer(
        **asdict(recipe.trainer),
        max_epochs=recipe.train.epochs,
        deterministic="warn",
        use_distributed_sampler=False,  # it pads: VideoDataModule shards by itself
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if recipe.train.holdout else 0,
        callbacks=[
            watch,
            Origin(recipe, checkpoint.base(video_vit)),
            ModelCheckpoint(folder, filename="last", enable_version_counter=False),
        ],
        logger=_logger(recipe, folder) or False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(classification, data, ckpt_path=last if last.exists() else None)

    start = time.perf_counter()
    progress.write(folder, stage="test")
    scores = evaluate(trainer, classification, data)
    test_seconds = time.perf_counter() - start
    metrics = evaluation.metrics(scores) | merged_metrics(trainer, classification, data)

    result = Record(
        name=recipe.name,
        recipe=asdict(recipe),
        metrics={**metrics, "videos": len(scores.index), "split": data.evaluation_split},
        cost=_cost(recipe, video_vit, watch, test_seconds),
        data=_facts(data, watch),
        environment=environment(code, fingerprint, trainer),
        train={
            "epochs": recipe.train.epochs,
            "steps": trainer.global_step,
            "curve": watch.curve,
            "resumed": watch.resumed,
            "started": started,
        },
    )
    if trainer.is_global_zero:
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {f"test/{k}": v for k, v in result.metrics.items() if k != "split"}
            )
        path = record.path(recipe.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_scores(path.with_suffix(".npz"), scores)
        result.write()  # last: its being there says the run is done
        progress.write(folder, stage="done", top1=result.metrics["top1"])
    return result


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
    """Return the accuracy after merging, and what merging changed; nothing if nothing merges."""
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
    data = datamodule(recipe)
    video_vit, _ = model(recipe, data.num_classes)
    video_vit = video_vit.merge() if saved.merged else video_vit
    checkpoint.load(video_vit, saved)
    classification = task(recipe, video_vit)
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


def _logger(recipe: Recipe, folder: Path) -> Any:
    if not recipe.wandb.enabled:
        return None
    from benchmark import dashboard  # wandb takes a second to import

    return dashboard.logger(
        recipe.name,
        folder,
        project=recipe.wandb.project,
        group=os.environ.get("BENCHMARK_SWEEP", recipe.name.split("/")[0]),
        config=asdict(recipe),
    )


def _cost(recipe: Recipe, video_vit: VideoViT, watch: Watch, test_seconds: float) -> dict[str, Any]:
    try:
        tested, merged = video_vit.merge(), True
    except ValueError:
        tested, merged = video_vit, False
    trained = [p for p in video_vit.parameters() if p.requires_grad]
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {
        "trained_parameters": cost.parameters(video_vit, trained=True),
        "head_parameters": cost.parameters(video_vit.head),
        "total_parameters": cost.parameters(tested),
        "total_parameters_training": cost.parameters(video_vit),
        "macs_per_view": cost.macs(tested, size=recipe.clip.size),
        "views": recipe.test.clips * recipe.test.crops,
        "merged": merged,
        "train_seconds": round(watch.seconds, 2),
        "test_seconds": round(test_seconds, 2),
        "clips_per_second": round(watch.clips / watch.seconds, 1) if watch.seconds else None,
        "data_wait": round(watch.waiting / watch.seconds, 4) if watch.seconds else None,
        "peak_device_memory_bytes": peak,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "checkpoint_bytes": sum(p.numel() * p.element_size() for p in trained),
    }


def _facts(data: VideoDataModule, watch: Watch) -> dict[str, Any]:
    facts = data.data
    classes = "\n".join(facts.classes)
    return {
        "name": facts.name,
        "splits": {
            name: {"videos": len(split), "sha256": split.sha256()}
            for name, split in facts.splits.items()
        },
        "classes": list(facts.classes),
        "classes_sha256": hashlib.sha256(classes.encode()).hexdigest(),
        "order_blind_ceiling": facts.order_blind_ceiling,
        "holdout": None if facts.held_out is None else list(facts.held_out),
        "broken": sorted(watch.broken),
    }


def environment(code: tuple[str, bool], fingerprint: str, trainer: Trainer) -> dict[str, Any]:
    """Return the code, the versions, the weights and the machine of this run."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "commit": code[0],
        "dirty": code[1],
        "weights": fingerprint,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "device": gpu if trainer.strategy.root_device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "world_size": trainer.world_size,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _write_scores(path: Path, scores: evaluation.Scores) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            index=scores.index.numpy(),
            label=scores.label.numpy(),
            scores=scores.scores.numpy(),
            clips_right=scores.clips_right.numpy(),
        )
    partial.replace(path)


def main(argv: Sequence[str]) -> int:
    """Run one recipe in this process; a failure's last progress line says why in one line."""
    recipe = load(argv[0], argv[1:])
    folder = record.RUNS / recipe.name
    if recipe.trainer.accelerator == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    launch.die_with_parent()
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes that DDP starts
    try:
        with launch.lock(folder) if first else contextlib.nullcontext():
            run(recipe)
    except (Exception, KeyboardInterrupt) as error:
        known = isinstance(error, UserError | FloatingPointError)
        text = str(error).strip().splitlines()
        line = text[0] if known and text else f"{type(error).__name__}: {text[0] if text else ''}"
        progress.write(folder, stage="failed", message=line)
        if known:
            print(line, file=sys.stderr)
        else:
            traceback.print_exc()
        return 2 if isinstance(error, UserError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
