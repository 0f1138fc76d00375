"""`benchmark`, and `python -m benchmark` where that script is not on the path: the command line."""

from typing import NoReturn

import benchmark.runs.leaving  # before anything else
from benchmark.cli.parser import main


def run() -> NoReturn:
    """Do what the command line says, and exit."""
    benchmark.runs.leaving.leave(main())


if __name__ == "__main__":
    run()
