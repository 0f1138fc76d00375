"""How long the board takes to read and to write, measured on records that are written for it."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmark.errors import UserError
from benchmark.leaderboard import pages
from benchmark.leaderboard.tables import Tables
from benchmark.recipes.name import RunName
from benchmark.results import answers, record, splits
from benchmark.results.answers import Answers
from datamodules.files import display_path

SIZES = 1_000, 10_000  # records
METHODS, SEEDS = 25, 4  # of a table
SETTLED = "same work per record: grows linearly if both sizes take as long a record"


def measure() -> None:
    """Print how long the board of many records takes, of each step, and per record.

    A committed record is copied under other names, its answers with it, into a folder that goes
    away; each size is measured once, with the files in the machine's memory.

    Raises:
        UserError: there is no record to copy.
    """
    found = record.records()
    if not found:
        raise UserError(f"no records in {display_path(record.RESULTS)} to copy")
    model, source = found[0], record.path(found[0].name)
    right = answers.read(source)
    split = splits.read(source, model.data.splits["test"].sha256)
    from benchmark.leaderboard import pictures  # imports matplotlib: not among what is measured

    print(f"copies of {model.name} with their answers to {len(split)} videos; {SETTLED}\n")
    print(f"{'records':>8}  {'read':>8}  {'judge':>8}  {'page':>8}  {'draw':>8}  a record, all")
    before = record.RESULTS
    for count in SIZES:
        folder = Path(tempfile.mkdtemp())
        try:
            record.RESULTS = folder
            for number in range(count):
                name = _name(number)
                place = replace(model, name=name).write()
                answers.write(place, _varied(right, number))
            splits.write(place, split)
            seconds = _steps(pictures.draw)
        finally:
            record.RESULTS = before
            shutil.rmtree(folder)
        each = f"{1e3 * sum(seconds) / count:.2f} ms"
        print(f"{count:>8,}  {'  '.join(f'{s:>6.1f} s' for s in seconds)}  {each}", flush=True)


def _steps(draw: Callable[[Tables], object]) -> list[float]:
    """Return the seconds of reading records, of tables with intervals, of the page, of pictures."""
    marks = [time.perf_counter()]
    records = record.records()
    marks.append(time.perf_counter())
    tables = pages.tested(records)
    marks.append(time.perf_counter())
    pages.board("bench", records, tables)
    marks.append(time.perf_counter())
    draw(tables)
    marks.append(time.perf_counter())
    return [after - before for before, after in pairwise(marks)]


def _name(number: int) -> str:
    run, seed = divmod(number, SEEDS)
    table, method = divmod(run, METHODS)
    return str(RunName("bench", f"data{table}", "vit", f"method{method}", seed=seed))


def _varied(right: Answers, number: int) -> Answers:
    """Return answers that are right as often, to other videos."""
    return Answers(np.roll(right.top1, number))
