"""Verbs about runs: list what they are made of, show, run and sweep them, tell how they are."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from benchmark.cli.verb import Verb
from benchmark.errors import UserError, nearest


def list_arguments(parser: ArgumentParser) -> None:
    """Add what `list` takes."""
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="one of recipes, such as methods"
    )
    parser.add_argument(
        "--count", action="store_true", help="count parameters and MACs of the methods anew"
    )


LAUNCHERS = ("local", "ray", "slurm")


def list_(args: Namespace) -> None:
    """List recipes: protocols, data, backbones, methods and their costs, sweeps.

    benchmark list
    benchmark list methods
    """
    from benchmark.recipes import compose

    folders = (*compose.AXES.values(), "sweeps")
    if args.folder not in (None, *folders):
        raise UserError(f"no {args.folder!r} to list{nearest(args.folder, folders)}")
    if args.count and args.folder != "methods":
        raise UserError("--count: of methods alone, benchmark list methods --count")
    if args.count:
        from benchmark.cost.method_page import write  # imports torch

        write()
    if args.folder == "methods":
        _list_methods()
        return
    for folder in folders if args.folder is None else [args.folder]:
        print(folder)
        names = compose.names(folder)
        width = max(map(len, names), default=0)
        for name in names:
            print(f"  {name.ljust(width)}  {_about(f'{folder}/{name}')}")


def _list_methods() -> None:
    """Print every recipe of a method: paper, claims, cost."""
    from benchmark.recipes import compose
    from benchmark.recipes.method_list import GROUPS, LEGEND, columns, listed

    methods = listed()
    lines = columns([each for belongs in GROUPS.values() for each in methods if belongs(each)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = {line[0]: "  ".join(_aligned(line, widths)).rstrip() for line in lines}
    for title, belongs in GROUPS.items():
        print(f"{title}\n  {told['recipe']}")
        for each in filter(belongs, methods):
            print(f"  {told[each.name]}")
    print(LEGEND)
    uncounted = [each.name for each in methods if each.parameters is None]
    if missing := [each for each in uncounted if compose.is_ours(f"methods/{each}")]:
        print(f"?: {', '.join(missing)} not counted yet: benchmark list methods --count")


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return cells of one width per column: texts to the left, the two numbers to the right."""
    pairs = list(zip(cells, widths, strict=True))
    return [c.ljust(w) for c, w in pairs[:-2]] + [c.rjust(w) for c, w in pairs[-2:]]


def a_run(parser: ArgumentParser) -> None:
    """Add the name of a run."""
    parser.add_argument(
        "name", metavar="NAME", help="protocol/data/backbone/method, and /seedN if you like"
    )


def show(args: Namespace) -> None:
    """Print a run's recipe, all files merged.

    benchmark show quick/digits_motion/vit_digits/st_adapter optim.lr=1e-3
    """
    from dataclasses import asdict

    import yaml

    from benchmark.recipes import compose

    print(yaml.safe_dump(asdict(compose.load(args.name, args.overrides)), sort_keys=False), end="")


def may_be_huge(parser: ArgumentParser) -> None:
    """Add the way to say that what is out of all proportion is meant."""
    parser.add_argument("--huge", action="store_true", help="start even what asks for far too much")


def run_arguments(parser: ArgumentParser) -> None:
    """Add what `run` takes."""
    a_run(parser)
    parser.add_argument("--again", action="store_true", help="train anew even if there is a record")
    may_be_huge(parser)


def run(args: Namespace) -> int:
    """Train and test one run, unless it has a record of this recipe and this data.

    benchmark run quick/digits_motion/vit_digits/aim optim.lr=1e-3 seed=1
    """
    from benchmark.leaderboard import pages
    from benchmark.results import record
    from benchmark.results.staleness import nothing_to_do
    from benchmark.runs.folder import CHECKPOINT
    from benchmark.sweeps.plan import job
    from benchmark.sweeps.sweep import run_one
    from datamodules.files import display_path

    one = job(args.name, overrides(args))
    file = record.path(one.name)
    if not args.again and (done := nothing_to_do(one.recipe)):
        print(done)
        return 0
    if failure := run_one(one, again=args.again):
        print(f"failed: {failure.reason} (see {display_path(failure.log)})", file=sys.stderr)
        return 1
    print(f"{pages.plain([record.read(file)])}\n\nsee {display_path(file)}")
    print(f"checkpoint: {display_path(one.folder / CHECKPOINT)}")
    return 0


def a_sweep(parser: ArgumentParser) -> None:
    """Add the name of a sweep."""
    parser.add_argument("name", metavar="NAME", help="a sweep, a file in recipes/sweeps")


def sweep_arguments(parser: ArgumentParser) -> None:
    """Add what `sweep` takes."""
    a_sweep(parser)
    launching(parser)
    parser.add_argument("--again", action="store_true", help="rerun stale records, too")


def launching(parser: ArgumentParser) -> None:
    """Add what is said of runs that a verb starts."""
    parser.add_argument(
        "--on", choices=LAUNCHERS, default="local", help="the launcher, default local"
    )
    parser.add_argument("--retry", action="store_true", help="rerun what failed, too")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the runs to do, and start none"
    )
    may_be_huge(parser)


def sweep(args: Namespace) -> int:
    """Run what a sweep lacks a record of, then write the leaderboard.

    benchmark sweep quick
    benchmark sweep quick --on slurm slurm.partition=gpu
    """
    from benchmark.sweeps.sweep import sweep

    return sweep(
        args.name,
        overrides(args),
        on=args.on,
        retry=args.retry,
        again=args.again,
        dry_run=args.dry_run,
    )


def tune_arguments(parser: ArgumentParser) -> None:
    """Add what `tune` takes."""
    parser.add_argument("name", metavar="NAME", help="a sweep, or a run")
    parser.add_argument(
        "--widen", action="store_true", help="widen ranges at whose end the best value lies"
    )
    launching(parser)


def tune(args: Namespace) -> int:
    """Tune each method's learning rate, and the like, on videos held out of training.

    benchmark tune fair_digits
    benchmark tune fair_digits --on slurm --widen
    benchmark tune fair/digits_motion/vit_digits/aim
    """
    from benchmark.sweeps.tune import tune

    return tune(
        args.name,
        overrides(args),
        on=args.on,
        widen=args.widen,
        retry=args.retry,
        dry_run=args.dry_run,
    )


def status(args: Namespace) -> None:
    """Print the status of a sweep's runs: done, stale, running, queued, failed and why, missing.

    benchmark status quick
    """
    from benchmark.sweeps.plan import plan
    from benchmark.sweeps.status import print_statuses, statuses

    print_statuses(args.name, statuses(plan(args.name, args.overrides)))


def overrides(args: Namespace) -> list[str]:
    """Return the overrides that were typed, and what options stand for."""
    return [*args.overrides, *(["huge=true"] if args.huge else [])]


def _about(file: str) -> str:
    """Return the first sentence of a recipe's comment, of a long one its first half."""
    from benchmark.recipes.method_list import comment

    sentence = comment(file).partition(". ")[0].rstrip(".")
    return sentence if len(sentence) <= 80 else sentence.partition(": ")[0]


VERBS = {
    "list": Verb(list_, list_arguments),
    "show": Verb(show, a_run, overrides=True),
    "run": Verb(run, run_arguments, overrides=True),
    "sweep": Verb(sweep, sweep_arguments, overrides=True),
    "tune": Verb(tune, tune_arguments, overrides=True),
    "status": Verb(status, a_sweep, overrides=True),
}
