"""Verbs about models: what they cost, the authors' checkpoints, test, examine, merge, pretrain."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.runs import a_run
from benchmark.cli.verb import Verb, output_file
from benchmark.errors import UserError, nearest

if TYPE_CHECKING:
    from benchmark.results.schema import Metrics


def profile_arguments(parser: ArgumentParser) -> None:
    """Add what `profile` takes."""
    a_run(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--classes", type=int, metavar="K", help="so many; reads no dataset")


def profile(args: Namespace) -> None:
    """Print parameters, MACs and checkpoint size of a run, the published figures beside ours.

    benchmark profile quick/digits_motion/vit_digits/aim
    """
    import json

    from benchmark.cost.profile import profile, table  # imports torch
    from benchmark.recipes import compose, dataset

    if args.classes is not None and args.classes < 1:
        raise UserError(f"--classes {args.classes}: not a number above 0")
    recipe = compose.load(args.name, args.overrides)
    found = profile(recipe, args.classes or dataset.num_classes(recipe.data))
    print(json.dumps(found, indent=2) if args.json else table(found))


def convert_arguments(parser: ArgumentParser) -> None:
    """Add what `convert` takes."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the authors' checkpoint")
    a_run(parser)
    parser.add_argument(
        "--base", type=Path, metavar="FILE", help="CLIP's weights, where FILE lacks them"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="a .safetensors file")


def convert(args: Namespace) -> None:
    """Convert the authors' checkpoint into one of ours, under the recipe of a run.

    benchmark convert vit_b_clip_8frame_k400.pth quick/digits_motion/vit_b16_clip/aim
    """
    from dataclasses import asdict

    from benchmark.cost import counts
    from benchmark.models import checkpoint
    from benchmark.models.weights import read_weights
    from benchmark.recipes import compose
    from benchmark.recipes.build import from_official_file  # imports torch

    recipe = compose.load(args.name, args.overrides)
    read = (args.file, *([args.base] if args.base else []))
    output = args.output or args.file.with_suffix(".converted.safetensors")
    output_file(output, *read, replaces=checkpoint.is_checkpoint)
    base = read_weights(args.base) if args.base else None
    model = from_official_file(read_weights(args.file), recipe, base=base)
    checkpoint.write(output, model, asdict(recipe))
    print(f"{output}: {counts.parameters(model, trained=True):,} parameters")


def a_checkpoint(parser: ArgumentParser) -> None:
    """Add a checkpoint's file."""
    parser.add_argument("checkpoint", type=Path, metavar="FILE", help="the checkpoint")


def test_arguments(parser: ArgumentParser) -> None:
    """Add what `test` takes."""
    a_checkpoint(parser)
    parser.add_argument("name", nargs="?", metavar="NAME", help="a run, to test under its recipe")


def test(args: Namespace) -> None:
    """Test a checkpoint, under the recipe it holds or that of a run; merged too, if it merges.

    benchmark test runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt
    """
    from benchmark.models import checkpoint
    from benchmark.recipes import compose
    from benchmark.terminal import quiet
    from benchmark.training.train import test  # imports torch

    words = [*([args.name] if args.name else []), *args.overrides]
    names = [each for each in words if "/" in each.partition("=")[0] or "=" not in each]
    overrides = [each for each in words if each not in names]  # a name may hold "=": aim,ratio=0.5
    if len(names) > 1:
        raise UserError(f"test as one run: {names[0]!r} or {names[1]!r}")
    quiet()
    saved = checkpoint.read(args.checkpoint)
    if names:
        recipe = compose.load(names[0], overrides)
    else:
        recipe = compose.restored(saved.recipe, overrides)
    found = test(saved, recipe, other_videos=bool(names))
    print(_tested(found, recipe.data["name"], recipe.test.clips * recipe.test.crops))


def _tested(metrics: "Metrics", data: str, views: int) -> str:
    """Return what a test came to, for people."""
    split = "test" if metrics.split == "test" else "held-out training"
    seen = f"{views} view{'' if views == 1 else 's'} of each"
    lines = [f"{metrics.videos:,} {split} videos of {data}, {seen}; all in percent"]
    rows = {
        "top-1": metrics.top1,
        "top-5": metrics.top5,
        "top-1, mean over classes": metrics.mean_class,
        "top-1 of single views": metrics.clip_top1,
        "chance: the most frequent class": metrics.chance,
        "top-1, merged": metrics.merged_top1,
        "top-1, merged less unmerged": metrics.merged_top1_change,
    }
    width = max(map(len, rows))
    lines += [
        f"{name.ljust(width)}  {100 * value:6.2f}"
        for name, value in rows.items()
        if value is not None
    ]
    if metrics.merged_score_change is not None:
        lines.append(f"merging changes a probability by {metrics.merged_score_change:.1e} at most")
    return "\n".join(lines)


def examine_arguments(parser: ArgumentParser) -> None:
    """Add what `examine` takes."""
    from benchmark.results.examination import TESTS

    a_checkpoint(parser)
    parser.add_argument("--only", metavar="TEST,...", help=f"of {', '.join(TESTS)}; default all")
    parser.add_argument("--videos", type=int, metavar="N", help="a random sample of about N videos")
    parser.add_argument(
        "--clips",
        type=int,
        default=4,
        metavar="N",
        help="most temporal clips of a video; default 4",
    )


def examine(args: Namespace) -> None:
    """Examine a checkpoint: its use of time, views, corruptions, calibration, what it forgot.

    benchmark examine runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt --only time,drift
    """
    from benchmark.models import checkpoint
    from benchmark.recipes import compose
    from benchmark.results import examination, record
    from benchmark.terminal import quiet
    from benchmark.training.examination.examine import examine  # imports torch
    from benchmark.training.examination.report import report
    from datamodules.files import display_path

    if args.clips < 1:
        raise UserError(f"--clips {args.clips}: not a number above 0")
    quiet()
    saved = checkpoint.read(args.checkpoint)
    recipe = compose.restored(saved.recipe, args.overrides)
    found = examine(
        saved,
        recipe,
        only=args.only.split(",") if args.only else (),
        videos=args.videos,
        clips=args.clips,
        overrides=args.overrides,
    )
    written = examination.path(record.path(recipe.name))
    print(f"{report(found)}\n\nsee {display_path(written)}")


def merge_arguments(parser: ArgumentParser) -> None:
    """Add what `merge` takes."""
    a_checkpoint(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", required=True, help="a .safetensors file"
    )


def merge(args: Namespace) -> None:
    """Write the merged model of a checkpoint, as large and as fast as the plain ViT.

    benchmark merge zeroi2v.safetensors -o merged.safetensors
    """
    from benchmark.inference import model_card
    from benchmark.inference.trained_model import class_names
    from benchmark.models import checkpoint
    from benchmark.recipes import compose
    from benchmark.recipes.build import classes_of, model_of  # imports torch
    from benchmark.terminal import quiet

    output_file(args.output, args.checkpoint, replaces=checkpoint.is_checkpoint)
    model_card.demand_place(args.output)
    quiet()
    saved = checkpoint.read(args.checkpoint)
    recipe = compose.restored(saved.recipe, args.overrides)
    model = model_of(saved, recipe, classes_of(saved, recipe))
    try:
        merged = model.merge()
    except ValueError as error:
        raise UserError(f"{args.checkpoint}: {error}") from error
    checkpoint.write(args.output, merged, saved.recipe, merged=True, data=saved.data)
    names, found = class_names(saved, recipe), model_card.record_of(recipe)
    model_card.write(args.output, recipe, names, found)
    print(f"{args.output}: {sum(p.numel() for p in merged.parameters()):,} parameters, merged")


def pretrain_arguments(parser: ArgumentParser) -> None:
    """Add what `pretrain` takes."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="of the new weights")


def pretrain(args: Namespace) -> None:
    """Train the embedded backbone on still digits again, and compare with the committed weights.

    benchmark pretrain
    """
    from benchmark.models.checkpoint import is_checkpoint
    from benchmark.training.pretrain import pretrain  # imports torch
    from datamodules.files import RUNS

    output = args.output or RUNS / "vit_digits.safetensors"
    pretrain(output_file(output, replaces=lambda there: not is_checkpoint(there)))


def contract_arguments(parser: ArgumentParser) -> None:
    """Add what `contract` takes."""
    parser.add_argument("name", metavar="METHOD", help="of a file in recipes/methods")


def contract(args: Namespace) -> int:
    """Test that a method keeps the contract of all: what it claims of itself, merging, checkpoints.

    benchmark contract lora
    BENCHMARK_PATH=mine benchmark contract my_adapter width=8
    """
    import json
    import os
    import subprocess
    import sys
    from importlib.util import find_spec

    from benchmark.lookup import accepts, external
    from benchmark.recipes import compose
    from benchmark.recipes.method_list import listed
    from benchmark.recipes.override import parse
    from datamodules.files import ROOT

    if args.name not in (there := compose.names("methods")):
        raise UserError(f"no method {args.name!r} in recipes/methods{nearest(args.name, there)}")
    if find_spec("pytest") is None:
        raise UserError("the contract is a test: pip install -e '.[dev]' first")
    listed()  # what is wrong with a recipe or a claim is one line here
    kinds = compose.option_kinds([("", compose.read(f"methods/{args.name}"))])
    known = {key.removeprefix("method."): kind for key, kind in kinds.items()}
    smaller = dict(parse(each, known) for each in args.overrides)
    if unknown := sorted(smaller.keys() - known.keys()):
        said = f"{args.name} has no option {unknown[0]!r}{nearest(unknown[0], sorted(known))}"
        raise UserError(f"{said}; options here make it fit a ViT of 2 blocks, 64 wide")
    for key, value in smaller.items():
        if not accepts(known[key], value):
            raise UserError(f"{args.name}: {key} is {value!r}, not {known[key]}")
    chosen = ["--method", args.name, "--smaller", json.dumps(smaller), "-p", "no:cacheprovider"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        *chosen,
        "tests/methods/test_contract.py",
    ]
    environment = {**os.environ, **external.variable()}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


VERBS = {
    "contract": Verb(contract, contract_arguments, overrides=True),
    "profile": Verb(profile, profile_arguments, overrides=True),
    "convert": Verb(convert, convert_arguments, overrides=True),
    "test": Verb(test, test_arguments, overrides=True),
    "examine": Verb(examine, examine_arguments, overrides=True),
    "merge": Verb(merge, merge_arguments, overrides=True),
    "pretrain": Verb(pretrain, pretrain_arguments),
}
