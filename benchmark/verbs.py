"""What each verb of the command line does. Its docstring is its help.

What a verb needs is imported in its function: the command line must start at once, without torch.
"""

import argparse
import sys
from pathlib import Path

from benchmark.errors import UserError

FOLDERS = ("protocols", "data", "backbones", "methods", "sweeps")


def list_(args: argparse.Namespace) -> None:
    """List what runs are made of, and the sweeps.

    python -m benchmark list
    """
    from benchmark import recipe

    for folder in FOLDERS:
        print(folder)
        names = recipe.names(folder)
        width = max(map(len, names), default=0)
        for name in names:
            print(f"  {name.ljust(width)}  {_about(recipe.RECIPES / folder / f'{name}.yaml')}")


def show(args: argparse.Namespace) -> None:
    """Print a run's recipe, resolved.

    python -m benchmark show quick/digits_motion/vit_digits/st_adapter optim.lr=1e-3
    """
    from dataclasses import asdict

    import yaml

    from benchmark import recipe

    print(yaml.safe_dump(asdict(recipe.load(args.name, args.overrides)), sort_keys=False), end="")


def pretrain(args: argparse.Namespace) -> None:
    """Train the embedded backbone on still digits again, and compare with the committed weights.

    python -m benchmark pretrain
    """
    from benchmark.pretrain import pretrain  # imports torch
    from benchmark.record import RUNS

    pretrain(args.output or RUNS / "vit_digits.safetensors")


def run(args: argparse.Namespace) -> int:
    """Train and test one run, unless it has a record.

    python -m benchmark run quick/digits_motion/vit_digits/aim optim.lr=1e-3 seed=1
    """
    from benchmark import launch, leaderboard, on_local, recipe, record
    from benchmark.sweep import prepare

    loaded = recipe.load(args.name, args.overrides)
    file = record.path(loaded.name)
    if file.exists() and not args.again:
        print(f"nothing to do: {record.shown(file)} exists (--again makes it again)")
        return 0
    target = "/".join(args.name.removeprefix("scratch/").split("/")[:4]) + f"/seed{loaded.seed}"
    job = launch.Job(target, tuple(args.overrides), loaded)
    prepare([job])
    if args.again:
        launch.clear(job.folder)
    for failure in on_local.run([job]):
        print(f"failed: {failure.reason} (see {record.shown(failure.log)})", file=sys.stderr)
        return 1
    leaderboard.refresh()
    print(f"{leaderboard.plain([record.read(file)])}\n\nsee {record.shown(file)}")
    return 0


def sweep(args: argparse.Namespace) -> int:
    """Run what a sweep lacks a record of, then write the leaderboard.

    python -m benchmark sweep quick
    python -m benchmark sweep quick --on slurm slurm.partition=gpu
    """
    from benchmark.sweep import sweep

    return sweep(
        args.name,
        args.overrides,
        on=args.on,
        retry=args.retry,
        again=args.again,
        dry_run=args.dry_run,
    )


def status(args: argparse.Namespace) -> None:
    """Tell how the runs of a sweep are: done, stale, running, queued, failed and why, missing.

    python -m benchmark status quick
    """
    from benchmark import status, sweep

    status.show(args.name, status.of(sweep.plan(args.name, args.overrides)))


def stale(args: argparse.Namespace) -> None:
    """List records whose recipe is no longer what their name means, and what changed since.

    python -m benchmark stale
    python -m benchmark stale results/scratch
    """
    from benchmark import status

    _check_folder(args.folder)
    found = status.stale(args.folder)
    for name, changed in found:
        print("\n  ".join([name, *changed]))
    if not found:
        print("no record is stale")


def leaderboard(args: argparse.Namespace) -> None:
    """Write the leaderboard, or print the table of a folder of records.

    python -m benchmark leaderboard
    python -m benchmark leaderboard results/scratch
    """
    from benchmark import leaderboard, record

    if args.folder is None:
        leaderboard.write()
        print(f"see {record.shown(record.RESULTS / leaderboard.PAGE)}")
        return
    _check_folder(args.folder)
    found = record.records(args.folder)
    print(leaderboard.plain(found) or f"no records in {args.folder}")


def dashboard(args: argparse.Namespace) -> None:
    """Show the board of a sweep in wandb: its table, accuracy against cost, the curves.

    python -m benchmark dashboard quick
    """
    from benchmark.dashboard import dashboard  # imports wandb

    dashboard(args.name)


def profile(args: argparse.Namespace) -> None:
    """Print what a run costs, the published figures beside ours: parameters, MACs, checkpoint.

    python -m benchmark profile quick/digits_motion/vit_digits/aim
    """
    import json
    from importlib import import_module

    from benchmark import lookup, recipe
    from benchmark.profile import profile, table  # imports torch

    loaded = recipe.load(args.name, args.overrides)
    module = import_module(f"datamodules.{loaded.data['name']}")
    classes = args.classes or getattr(module, "CLASSES", None)
    if classes is None:  # only the data can tell
        classes = len(lookup.call("datamodules", loaded.data).classes)
    found = profile(loaded, classes)
    print(json.dumps(found, indent=2) if args.json else table(found))


def convert(args: argparse.Namespace) -> None:
    """Turn an authors' file into a checkpoint of ours, under the recipe of a run.

    python -m benchmark convert vit_b_clip_8frame_k400.pth quick/digits_motion/vit_b16_clip/aim
    """
    from dataclasses import asdict

    from benchmark import backbone, checkpoint, recipe
    from benchmark.official import from_recipe  # imports torch

    loaded = recipe.load(args.name, args.overrides)
    base = backbone.read(args.base) if args.base else None
    model = from_recipe(backbone.read(args.file), loaded, base=base)
    output = args.output or args.file.with_suffix(".converted.safetensors")
    checkpoint.write(output, model, asdict(loaded))
    print(f"{output}: {sum(p.numel() for p in checkpoint.trained(model).values()):,} parameters")


def test(args: argparse.Namespace) -> None:
    """Test a checkpoint, under the recipe it holds or that of a run; merged too, if it merges.

    python -m benchmark test runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt
    """
    from benchmark import checkpoint, recipe
    from benchmark.run import test  # imports torch

    saved = checkpoint.read(args.checkpoint)
    if args.name is None:
        loaded = recipe.restored(saved.recipe, args.overrides)
    else:
        loaded = recipe.load(args.name, args.overrides)
    for name, value in test(saved, loaded).items():
        print(f"{name:20} {value:.6g}")


def merge(args: argparse.Namespace) -> None:
    """Write the merged model of a checkpoint, as large and as fast as the plain ViT.

    python -m benchmark merge zeroi2v.safetensors -o merged.safetensors
    """
    from benchmark import checkpoint, recipe
    from benchmark.build import model  # imports torch

    saved = checkpoint.read(args.checkpoint)
    loaded = recipe.restored(saved.recipe, args.overrides)
    video_vit, _ = model(loaded, len(saved.parameters["head.bias"]))
    checkpoint.load(video_vit, saved)
    try:
        merged = video_vit.merge()
    except ValueError as error:
        raise UserError(f"{args.checkpoint}: {error}") from error
    checkpoint.write(args.output, merged, saved.recipe, merged=True)
    print(f"{args.output}: {sum(p.numel() for p in merged.parameters()):,} parameters, merged")


def audit(args: argparse.Namespace) -> int:
    """Look at every video of datasets before training on them; tell and note which are broken.

    python -m benchmark audit ucf101 data.root=/data/ucf101
    """
    from benchmark import dataset
    from benchmark.launch import cores
    from datamodules.upkeep.audit import audit, summary  # imports torch

    words = [*args.words, *args.overrides]
    names, overrides, own = dataset.split(words, {"workers": cores()})
    broken = 0
    for data in [dataset.load(name, overrides) for name in names]:
        rows = audit(data, workers=own["workers"])
        print(f"{summary(data, rows)}\n")
        broken += sum(row["problem"] is not None for row in rows.values())
    return 1 if broken else 0


def prepare(args: argparse.Namespace) -> int:
    """Encode the videos of a dataset anew, small and quick to decode, into a folder of their own.

    python -m benchmark prepare ucf101 data.root=/data/ucf101 -o /data/ucf101_256 short_side=256
    """
    from benchmark import dataset
    from benchmark.launch import cores
    from datamodules.upkeep.prepare import (  # imports torch
        GROUP,
        QUALITY,
        SHORT_SIDE,
        prepare,
        summary,
    )

    known = {"workers": cores(), "short_side": SHORT_SIDE, "group": GROUP, "quality": QUALITY}
    names, overrides, own = dataset.split([*args.words, *args.overrides], known)
    if len(names) > 1:
        raise UserError(f"one dataset per folder: prepare {names[0]!r} and {names[1]!r} apart")
    data = dataset.load(names[0], overrides)
    rows = prepare(data, args.output, **own)
    print(summary(data, args.output, rows))
    return 1 if any(row["problem"] is not None for row in rows.values()) else 0


def _check_folder(folder: Path | None) -> None:
    if folder is not None and not folder.is_dir():
        raise UserError(f"no folder {folder}")


def _about(file: Path) -> str:
    """Return the first sentence of a recipe's comment, of a long one its first half."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    sentence = " ".join(lines).partition(". ")[0].rstrip(".")
    return sentence if len(sentence) <= 80 else sentence.partition(": ")[0]
