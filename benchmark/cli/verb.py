"""What a verb of the command line is: an action, whose docstring is its help, and arguments."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError
from datamodules.files import demand_writable


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


def output_file(
    file: Path,
    *inputs: Path,
    replaces: Callable[[Path], bool],
    suffixes: Sequence[str] = (".safetensors",),
) -> Path:
    """Return `file` if it can be written there: nothing but its like is ever replaced.

    Args:
        file: As typed.
        inputs: What is read to write it.
        replaces: Whether a file that is there already is of the kind that is written.
        suffixes: How such files' names end.

    Raises:
        UserError: it is one of `inputs`, no file, a file of another kind, or cannot be written.
    """
    kinds = " or ".join(suffixes)
    there = os.path.exists(file)  # which names too long to exist are no error of
    if there and not file.is_file():
        raise UserError(f"-o {file}: is no regular file; name a {kinds} file")
    if there and any(file.samefile(each) for each in inputs if os.path.exists(each)):
        raise UserError(f"-o {file}: is the file that is read; name another")
    if file.suffix not in suffixes:
        raise UserError(f"-o {file}: name a {kinds} file, which is what is written")
    if there and not replaces(file):
        raise UserError(f"-o {file}: holds something else, which would be lost; name another file")
    demand_writable(file)
    return file
