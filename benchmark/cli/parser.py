"""The command line: what is typed becomes one verb's action; every mistake is one line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmark import terminal
from benchmark.cli import costs, data, inference, models, results, runs
from benchmark.errors import UserError, nearest
from datamodules.files import NO_ROOM, why_unwritten

VERBS = runs.VERBS | results.VERBS | models.VERBS | inference.VERBS | costs.VERBS | data.VERBS
ABOUT = "Compare parameter-efficient ways from image models to video models."
PLACES = """\
environment:
  RUNS                where runs work and checkpoints lie, default runs/ of the checkout
  RESULTS             where records and the board lie, default results/ of the checkout
  BENCHMARK_PATH      a folder of your own methods/, datasets/ and recipes/, beside ours
  MEASURED_BY         who runs this, for the records; default git's user.name"""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as all of ours."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for: `action`, and what that reads."""
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="benchmark",
        description=ABOUT,
        epilog=PLACES,
        formatter_class=form,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(metavar="VERB", parser_class=_Parser, required=True)
    for name, verb in VERBS.items():
        help_, _, example = (verb.action.__doc__ or "").partition("\n")
        about = f"{help_}\n\nExample:\n{example.rstrip()}"
        own = subparsers.add_parser(
            name, help=help_, description=about, formatter_class=form, allow_abbrev=False
        )
        own.set_defaults(action=verb.action)
        verb.arguments(own)
        if verb.overrides:
            usage = own.format_usage().removeprefix("usage: ").strip()
            own.usage = f"{usage} [KEY=VALUE ...]"
            own.epilog = "KEY=VALUE overrides a key of the recipe."
    if argv and not argv[0].startswith("-") and argv[0] not in VERBS:
        raise UserError(f"no verb {argv[0]!r}{nearest(argv[0], VERBS)}")
    args, rest = parser.parse_known_args(argv)  # overrides may stand before and after options
    takes = VERBS[argv[0]].overrides
    if wrong := [each for each in rest if each.startswith("-") or not takes]:
        raise UserError(f"unknown argument {wrong[0]!r}; see benchmark {argv[0]} --help")
    args.overrides = rest
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 for a mistake of the user."""
    with terminal.forgiving() as stdout:
        return terminal.exit_code(_run(sys.argv[1:] if argv is None else argv), stdout)


def _run(argv: Sequence[str]) -> int:
    try:
        args = parse(argv or ["--help"])
        return args.action(args) or 0
    except UserError as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        place = Path(error.filename or ".")
        print(f"error: cannot write {place}: {why_unwritten(error, place)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        said = str(interrupt) or "interrupted; type the same command to go on"
        print(said, file=sys.stderr)
        return 130
