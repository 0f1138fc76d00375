"""What a verb of the command line is: an action, whose docstring is its help, and arguments."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError


def no_arguments(parser: ArgumentParser) -> None:
    """Add nothing."""


class Verb(NamedTuple):
    """One verb.

    Attributes:
        action: Does it, and returns the exit code, None for 0. Its docstring is the verb's help:
            a line, and examples.
        arguments: Adds to a parser what the verb takes.
        overrides: Whether it takes KEY=VALUE, too.
    """

    action: Callable[[Namespace], int | None]
    arguments: Callable[[ArgumentParser], None] = no_arguments
    overrides: bool = False


def existing_folder(folder: Path | None) -> Path | None:
    """Return `folder` if it is one, or None as it is.

    Raises:
        UserError: there is no such folder.
    """
    if folder is not None and not os.path.isdir(folder):
        raise UserError(f"no folder {folder}")
    return folder
