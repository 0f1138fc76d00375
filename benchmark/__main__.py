"""Compare parameter-efficient ways from image models to video models."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmark.errors import UserError, nearest

# What a verb needs is imported in its function: this file must start at once, and without torch.

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

    from benchmark import recipe
    from benchmark.lookup import find
    from benchmark.profile import profile, table  # imports torch

    loaded = recipe.load(args.name, args.overrides)
    options = {key: value for key, value in loaded.data.items() if key != "name"}
    data = find("datamodules", loaded.data["name"])
    classes = args.classes or getattr(import_module(data.__module__), "CLASSES", None)
    if classes is None:  # only the data can tell
        classes = len(data(**options).classes)
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


VERBS = {
    "list": list_,
    "show": show,
    "pretrain": pretrain,
    "run": run,
    "sweep": sweep,
    "status": status,
    "stale": stale,
    "leaderboard": leaderboard,
    "dashboard": dashboard,
    "profile": profile,
    "convert": convert,
    "test": test,
    "merge": merge,
    "audit": audit,
    "prepare": prepare,
}
TAKE_OVERRIDES = (show, run, sweep, status, profile, convert, test, merge, audit, prepare)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as all of ours."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="python -m benchmark", description=__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(metavar="VERB", parser_class=_Parser, required=True)
    for name, function in VERBS.items():
        help_, _, example = (function.__doc__ or "").partition("\n")
        about = f"{help_}\n\nExample:\n{example.rstrip()}"
        verb = verbs.add_parser(
            name, help=help_, description=about, formatter_class=form, allow_abbrev=False
        )
        verb.set_defaults(function=function, overrides=[])
        if name in ("convert", "test", "merge"):
            kind = "file" if name == "convert" else "checkpoint"
            verb.add_argument(kind, type=Path, metavar="FILE", help=f"the {kind}")
        if name == "test":
            verb.add_argument("name", nargs="?", metavar="NAME", help="test as this run does")
        if name in ("show", "run", "profile", "convert"):
            verb.add_argument(
                "name", metavar="NAME", help="protocol/data/backbone/method, and /seedN if you like"
            )
        if name in ("audit", "prepare"):
            verb.add_argument("words", nargs="+", metavar="DATA", help="of a file in recipes/data")
        if name == "prepare":
            verb.add_argument("-o", "--output", type=Path, metavar="DIR", required=True)
        if name in ("sweep", "status", "dashboard"):
            verb.add_argument("name", metavar="NAME", help="of a file in recipes/sweeps")
        if name == "sweep":
            places = ("local", "ray", "slurm")
            verb.add_argument("--on", choices=places, default="local", help="where: default local")
            verb.add_argument("--retry", action="store_true", help="what failed, too")
            verb.add_argument("--again", action="store_true", help="what has a stale record, too")
            verb.add_argument("--dry-run", action="store_true", help="only print what would be run")
        if name == "run":
            verb.add_argument("--again", action="store_true", help="even if there is a record")
        if name == "profile":
            verb.add_argument("--json", action="store_true", help="for machines")
            verb.add_argument("--classes", type=int, help="without looking at the data")
        if name == "convert":
            verb.add_argument("--base", type=Path, metavar="FILE", help="CLIP's, if FILE has none")
        if name in ("convert", "merge"):
            needed = name == "merge"
            verb.add_argument("-o", "--output", type=Path, metavar="FILE", required=needed)
        if name == "pretrain":
            verb.add_argument("--output", type=Path, metavar="FILE", help="where to write weights")
        if name == "stale":
            verb.add_argument("folder", nargs="?", type=Path, help="of records, such as results")
        if name == "leaderboard":
            verb.add_argument("folder", nargs="?", type=Path, help="print its records' table only")
        if function in TAKE_OVERRIDES:
            usage = verb.format_usage().removeprefix("usage: ").strip()
            verb.usage = f"{usage} [KEY=VALUE ...]"
            verb.epilog = "What stands as KEY=VALUE overrides the recipe."
    if argv and not argv[0].startswith("-") and argv[0] not in VERBS:
        raise UserError(f"no verb {argv[0]!r}{nearest(argv[0], VERBS)}")
    args, rest = parser.parse_known_args(argv)  # overrides may stand before and after options
    takes = args.function in TAKE_OVERRIDES
    if wrong := [each for each in rest if each.startswith("-") or not takes]:
        raise UserError(f"unknown argument {wrong[0]!r}; see python -m benchmark {argv[0]} --help")
    args.overrides = rest
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for a mistake of the user."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if not argv:
            parse(["--help"])
        args = parse(argv)
        return args.function(args) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        said = str(interrupt) or "interrupted; type the same command to go on"
        print(said, file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


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


if __name__ == "__main__":
    sys.exit(main())
