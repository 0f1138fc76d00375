"""Verbs about results: the board of the records, what is stale or wrong of them, releases."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from benchmark.cli.runs import a_sweep
from benchmark.cli.verb import Verb, existing_folder

FORMATS = ("csv", "json", "latex")


def leaderboard_arguments(parser: ArgumentParser) -> None:
    """Add what `leaderboard` takes."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("folder", nargs="?", type=Path, help="of records: print their table only")
    what.add_argument(
        "--published", action="store_true", help="write results/PUBLISHED.md, the papers' numbers"
    )
    parser.add_argument("--all", action="store_true", help="print every column")
    parser.add_argument("--as", dest="form", choices=FORMATS, help="print in this format")


def leaderboard(args: Namespace) -> None:
    """Write the leaderboard, or print the table of a folder of records.

    benchmark leaderboard
    benchmark leaderboard results/scratch --all
    benchmark leaderboard results/fair --as latex
    benchmark leaderboard --published
    """
    from benchmark.leaderboard import board, pages
    from benchmark.leaderboard.exports import forms
    from benchmark.results import answers, record
    from datamodules.files import display_path

    if args.published:
        from benchmark.cost import published_page  # imports torch

        published_page.write()
        print(f"see {display_path(published_page.PAGE)}")
        return
    folder = existing_folder(args.folder)
    if not folder and not args.all and not args.form:
        board.write()
        print(f"see {display_path(record.RESULTS / board.PAGE)}{board.interactive_hint()}")
        return
    found = record.by_file(folder)
    files = {each.name: file for file, each in found.items()}

    def evidence(run: record.Record) -> answers.Evidence | None:
        return answers.evidence(run, files[run.name])  # beside it, wherever that is

    if not found:
        print(f"no records in {display_path(folder or record.RESULTS)}", file=sys.stderr)
    elif args.form:
        print(forms.export(pages.tested(found.values(), evidence), args.form), end="")
    else:
        print(pages.plain(found.values(), every=args.all, evidence=evidence))


def stale_arguments(parser: ArgumentParser) -> None:
    """Add what `stale` takes."""
    parser.add_argument("folder", nargs="?", type=Path, help="of records; default all")


def stale(args: Namespace) -> None:
    """List stale records: their recipe or data has changed since, or they are broken.

    benchmark stale
    benchmark stale results/scratch
    """
    from benchmark.results.staleness import stale

    found = stale(existing_folder(args.folder))
    for name, changed in found:
        print("\n  ".join([name, *changed]))
    if not found:
        print("no record is stale")


def compare_arguments(parser: ArgumentParser) -> None:
    """Add what `compare` takes."""
    what = "a run, a row (all of its seeds), or a record's file"
    parser.add_argument("runs", nargs=2, metavar="RUN", help=what)
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the comparison, too")


def compare(args: Namespace) -> None:
    """Compare two runs, or two rows, on the same videos: accuracy, classes, confusion, costs.

    benchmark compare fair/digits_motion/vit_digits/aim fair/digits_motion/vit_digits/full
    benchmark compare A/seed0.json B/seed0.json --picture difference.svg
    """
    from benchmark.errors import UserError
    from benchmark.leaderboard import comparison
    from benchmark.results import record
    from datamodules.files import atomic_write, demand_writable

    if args.picture and args.picture.suffix != ".svg":
        raise UserError(f"--picture {args.picture}: what is drawn is SVG; name a .svg file")
    first, second = (record.files_of(said) for said in args.runs)
    found = comparison.compare(first, second)
    if args.picture:
        demand_writable(args.picture)
        from benchmark.leaderboard.pictures import comparison as picture  # imports matplotlib

        with atomic_write(args.picture) as stream:
            stream.write(picture.draw(found).encode(errors="replace"))
    print(comparison.text(found))


def verify_arguments(parser: ArgumentParser) -> None:
    """Add what `verify` takes."""
    parser.add_argument(
        "records", nargs="+", metavar="RECORD", help="a record, a folder of them, or a run's name"
    )


def verify(args: Namespace) -> int:
    """Verify records: their metrics follow from their answers, their checksums from their data.

    benchmark verify results/fair
    benchmark verify quick/digits_motion/vit_digits/aim/seed0
    """
    from benchmark.results import record
    from benchmark.results.verification import verify
    from datamodules.files import display_path

    files = {file: None for said in args.records for file in record.files_of(said)}
    found = verify(files)
    for each in found:
        place = display_path(each.file)
        for problem in each.problems:
            print(f"{place}: {problem}", file=sys.stderr)
        if not each.problems:
            left = f"; not in them: {', '.join(each.unchecked)}" if each.unchecked else ""
            print(f"{place}: fine: {', '.join(each.checked)} follow from the answers{left}")
    wrong = sum(bool(each.problems) for each in found)
    print(f"{len(found) - wrong} of {len(found)} records are fine")
    return int(wrong > 0)


def freeze_arguments(parser: ArgumentParser) -> None:
    """Add what `freeze` takes."""
    about = "make these releases again, or all, from their own records, and compare byte for byte"
    parser.add_argument("--check", nargs="*", metavar="VERSION", help=about)


def freeze(args: Namespace) -> int:
    """Freeze the tables of the committed boards as a release of this version, or check releases.

    benchmark freeze
    benchmark freeze --check
    """
    from benchmark import __version__
    from benchmark.leaderboard.exports import release
    from datamodules.files import display_path

    if args.check is None:
        from benchmark.training.provenance import code_state  # imports torch

        print(f"froze {display_path(release.freeze(__version__, code_state()))}")
        return 0
    wrong = 0
    for version in args.check or release.versions():
        problems = release.check(version)
        wrong += len(problems)
        for line in problems:
            print(line, file=sys.stderr)
        if not problems:
            print(release.summary(version))
    if not args.check and not release.versions():
        print("there are no releases")
    return int(wrong > 0)


def dashboard(args: Namespace) -> None:
    """Show the board of a sweep in wandb: its table, accuracy against cost, the curves.

    benchmark dashboard quick
    """
    from benchmark.errors import UserError
    from benchmark.results import record
    from benchmark.sweeps.plan import plan
    from benchmark.tracking.wandb_dashboard import dashboard  # imports wandb

    jobs = plan(args.name)
    files = [record.path(job.name) for job in jobs]
    records = [record.read(file) for file in files if file.exists()]
    if not records:
        raise UserError(f"sweep {args.name!r} has no records yet: make sweep SWEEP={args.name}")
    dashboard(args.name, records, runs=len(jobs), project=jobs[0].recipe.wandb.project)


def wandb_sync(args: Namespace) -> int:
    """Upload what wandb kept while it was offline.

    benchmark wandb-sync
    """
    from benchmark.tracking.wandb_sync import upload

    return upload()


def bench_board(args: Namespace) -> None:
    """Measure how long the board takes to read and to write, of 1,000 and of 10,000 records.

    benchmark bench-board
    """
    from benchmark.cost.board_speed import measure

    measure()


VERBS = {
    "leaderboard": Verb(leaderboard, leaderboard_arguments),
    "bench-board": Verb(bench_board),
    "stale": Verb(stale, stale_arguments),
    "compare": Verb(compare, compare_arguments),
    "verify": Verb(verify, verify_arguments),
    "freeze": Verb(freeze, freeze_arguments),
    "dashboard": Verb(dashboard, a_sweep),
    "wandb-sync": Verb(wandb_sync),
}
