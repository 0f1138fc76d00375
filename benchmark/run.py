"""A run's process: `python -m benchmark.run NAME [key=value ...]`; what it does is `one_run.py`.

A fork server of loader workers imports the main module again, without which they cannot start. It
finds nothing here: what reads clips needs neither Lightning nor timm.
"""

import benchmark.runs.leaving  # noqa: F401  # before anything else

if __name__ == "__main__":
    import gc
    import sys

    gc.disable()  # what is imported stays: looking for garbage in it is a fifth of the time
    from benchmark.one_run import main
    from benchmark.runs import process

    gc.freeze()
    gc.enable()
    process.leave(main(sys.argv[1:]))
