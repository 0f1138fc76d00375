"""Compare parameter-efficient ways from image models to video models."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmark import verbs
from benchmark.errors import UserError, nearest

VERBS = {
    "list": verbs.list_,
    "show": verbs.show,
    "pretrain": verbs.pretrain,
    "run": verbs.run,
    "sweep": verbs.sweep,
    "status": verbs.status,
    "stale": verbs.stale,
    "leaderboard": verbs.leaderboard,
    "dashboard": verbs.dashboard,
    "profile": verbs.profile,
    "convert": verbs.convert,
    "test": verbs.test,
    "merge": verbs.merge,
    "audit": verbs.audit,
    "prepare": verbs.prepare,
}
TAKE_OVERRIDES = (
    *("show", "run", "sweep", "status"),
    *("profile", "convert", "test", "merge", "audit", "prepare"),
)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as all of ours."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    form = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="python -m benchmark", description=__doc__, allow_abbrev=False)
    subparsers = parser.add_subparsers(metavar="VERB", parser_class=_Parser, required=True)
    for name, function in VERBS.items():
        help_, _, example = (function.__doc__ or "").partition("\n")
        about = f"{help_}\n\nExample:\n{example.rstrip()}"
        verb = subparsers.add_parser(
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
        if name in TAKE_OVERRIDES:
            usage = verb.format_usage().removeprefix("usage: ").strip()
            verb.usage = f"{usage} [KEY=VALUE ...]"
            verb.epilog = "What stands as KEY=VALUE overrides the recipe."
    if argv and not argv[0].startswith("-") and argv[0] not in VERBS:
        raise UserError(f"no verb {argv[0]!r}{nearest(argv[0], VERBS)}")
    args, rest = parser.parse_known_args(argv)  # overrides may stand before and after options
    takes = argv[0] in TAKE_OVERRIDES
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


if __name__ == "__main__":
    sys.exit(main())
