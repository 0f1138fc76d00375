"""Verbs about results: the board of the records, what is stale of them, the board on wandb."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from benchmark.cli.runs import a_sweep
from benchmark.cli.verb import Verb, existing_folder


def leaderboard_arguments(parser: ArgumentParser) -> None:
    """Add what `leaderboard` takes."""
    parser.add_argument("folder", nargs="?", type=Path, help="print its records' table only")
    parser.add_argument("--all", action="store_true", help="print the table with every column")


def leaderboard(args: Namespace) -> None:
    """Write the leaderboard, or print the table of a folder of records.

    python -m benchmark leaderboard
    python -m benchmark leaderboard results/scratch
    python -m benchmark leaderboard --all
    """
    from benchmark.leaderboard import pages
    from benchmark.results import record
    from datamodules.files import display_path

    folder = existing_folder(args.folder)
    if folder or args.all:
        found = pages.plain(record.records(folder), every=args.all)
        print(found or f"no records in {folder or record.RESULTS}")
        return
    pages.write()
    print(f"see {display_path(record.RESULTS / pages.PAGE)}")


def stale_arguments(parser: ArgumentParser) -> None:
    """Add what `stale` takes."""
    parser.add_argument("folder", nargs="?", type=Path, help="of records, such as results")


def stale(args: Namespace) -> None:
    """List records whose recipe is no longer what their name means, and what changed since.

    python -m benchmark stale
    python -m benchmark stale results/scratch
    """
    from benchmark.results.staleness import stale

    found = stale(existing_folder(args.folder))
    for name, changed in found:
        print("\n  ".join([name, *changed]))
    if not found:
        print("no record is stale")


def dashboard(args: Namespace) -> None:
    """Show the board of a sweep in wandb: its table, accuracy against cost, the curves.

    python -m benchmark dashboard quick
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

    python -m benchmark wandb-sync
    """
    from benchmark.tracking.wandb_sync import upload

    return upload()


VERBS = {
    "leaderboard": Verb(leaderboard, leaderboard_arguments),
    "stale": Verb(stale, stale_arguments),
    "dashboard": Verb(dashboard, a_sweep),
    "wandb-sync": Verb(wandb_sync),
}
