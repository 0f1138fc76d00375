"""`python -m benchmark`: the command line, where the script `benchmark` is not on the path."""

import sys

from benchmark.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
