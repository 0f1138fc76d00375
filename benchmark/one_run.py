"""What a run's process does: from a recipe to a record, or to a line that says why not."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist

from benchmark import terminal
from benchmark.errors import UserError
from benchmark.models import checkpoint
from benchmark.recipes import proportion
from benchmark.recipes.buildable import demand_devices, demand_runnable
from benchmark.recipes.compose import load
from benchmark.recipes.schema import Recipe
from benchmark.recipes.tuning import demand_tuned
from benchmark.results import record
from benchmark.results.staleness import nothing_to_do
from benchmark.runs import progress
from benchmark.runs.ancestry import die_with_parent
from benchmark.runs.folder import CHECKPOINT, FolderHeld, lock
from benchmark.runs.process import EXIT_AGAIN, EXIT_HELD, EXIT_NO_ROOM, EXIT_PREEMPTED
from benchmark.terminal import quiet
from benchmark.tracking.memory_limit import OutOfMemory
from benchmark.training.checkpointing import Preempted
from benchmark.training.examination.examine import examine
from benchmark.training.examination.report import report
from benchmark.training.train import train
from datamodules import files
from datamodules.decoding.video import DecodeError, ReadError
from datamodules.files import NO_ROOM, demand_writable, display_path, why_unwritten
from datamodules.loading import deadline
from datamodules.loading.workers import tell_stacks


class _Notes(logging.Handler):
    """Put what is logged of the data into a run's progress, for whoever watches it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        progress.write(self.folder, stage="start", note=record.getMessage())
        print(record.getMessage(), file=sys.stderr)


def _reason(error: BaseException) -> str:
    """Return in one line why a run ended, empty where only a traceback can tell."""
    if isinstance(error, OutOfMemory):  # of a worker that the kernel killed, say
        return str(error)
    if worker := next(filter(_is_dead_worker, _chain(error)), None):
        return f"{str(worker).strip()}; what was saved before is kept, start again to go on"
    said = str(error).strip().splitlines() or [""]
    match error:
        case UserError() | FloatingPointError() | Preempted():
            return said[0]
        case DecodeError():  # of a loader worker, whose traceback stands before it
            return said[-1].removeprefix(f"{DecodeError.__module__}.{type(error).__name__}: ")
        case ReadError():
            line = said[-1].removeprefix(f"{ReadError.__module__}.ReadError: ")
            return f"{line}; what was saved before is kept, start again to go on"
        case torch.OutOfMemoryError():
            return "out of memory on the device; a smaller test.batch, or a smaller model, may fit"
        case OSError() if error.errno in NO_ROOM or error.errno == errno.EACCES:
            file = f"{error.filename}: " if error.filename else ""
            why = why_unwritten(error, Path(error.filename or files.RUNS))
            return f"{file}{why}; what was saved before is kept, start again to go on"
        case _:
            return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what was being handled when it came, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _lacks_room(error: BaseException) -> bool:
    """Return whether a full disk ended it, which may come back."""
    return any(isinstance(each, OSError) and each.errno in NO_ROOM for each in _chain(error))


def _is_dead_worker(error: BaseException) -> bool:
    """Return whether torch says that a loader worker died: anywhere, even where others catch it."""
    said = str(error).strip()
    dead = said.startswith("DataLoader worker") and "\n" not in said
    return isinstance(error, RuntimeError) and dead


def main(argv: Sequence[str]) -> int:
    """Run one recipe in this process; its last progress line says in one line how it ended."""
    with terminal.forgiving() as stdout:
        return terminal.exit_code(_run(argv), stdout)


def _run(argv: Sequence[str]) -> int:
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # as torchrun, Lightning or Slurm say it
    first = not any(int(os.environ.get(each, "0")) for each in ranks)
    try:
        if not argv:
            raise UserError("name the run: python -m benchmark.run NAME [key=value ...]")
        recipe = load(argv[0], ["huge=true" if each == "--huge" else each for each in argv[1:]])
        if first:  # the others would say the same
            demand_tuned([recipe])
            proportion.ask(recipe, proportion.of_recipe(recipe, here=True))
            demand_devices(recipe)
            demand_runnable(recipe)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    folder = files.RUNS / recipe.name
    if recipe.trainer.accelerator == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    die_with_parent()
    tell_stacks()
    quiet()
    with contextlib.ExitStack() as stack:
        if first:
            try:
                stack.enter_context(lock(folder))
            except FolderHeld as error:  # whose folder it is goes on telling of itself there
                print(error, file=sys.stderr)
                return EXIT_HELD
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
                return EXIT_NO_ROOM if _lacks_room(error) else 2
        try:
            if done := nothing_to_do(recipe):  # another process was quicker
                print(done)
                return 0
            told = "datamodules" if first else deadline.__name__  # of all else ranks say the same
            logging.getLogger(told).addHandler(_Notes(folder))
            demand_writable(record.path(recipe.name))  # not after days of training
            train(recipe)
            if recipe.examine:
                _examine(recipe, folder)
        except (Exception, KeyboardInterrupt) as error:
            code, line = _ended(error, recipe, first)
        else:
            return 0
    if line:  # when the error is gone: what goes with it, torch's loaders say, may complain
        print(line, file=sys.stderr)
    return code


def _examine(recipe: Recipe, folder: Path) -> None:
    """Examine a run that has its record; what keeps it from that is told, and fails no run."""
    again = f"see benchmark examine {display_path(folder / CHECKPOINT)}"
    if dist.is_initialized() and dist.get_world_size() > 1:
        if dist.get_rank() == 0:
            print(f"warning: not examined, which takes one device: {again}", file=sys.stderr)
        return
    try:
        print(report(examine(checkpoint.read(folder / CHECKPOINT), recipe)))
    except (UserError, OSError) as error:
        print(f"warning: not examined: {error}; {again}", file=sys.stderr)


def _ended(error: BaseException, recipe: Recipe, first: bool) -> tuple[int, str]:
    """Note why a run ended before its end; return its exit code, and the line that says why.

    Where no line can, the line is empty and a traceback has been printed.
    """
    line, full = _reason(error), _lacks_room(error)
    told = line or traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
    goes_on = full or isinstance(error, Preempted | OutOfMemory)
    of = {"recipe": asdict(recipe)} if progress.DIVERGED in told else {}  # another may not diverge
    with contextlib.suppress(OSError):  # the disk may be full
        folder = files.RUNS / recipe.name
        progress.write(folder, stage="preempted" if goes_on else "failed", message=told, **of)
    if not line:
        traceback.print_exception(error)
    if isinstance(error, Preempted):  # Lightning takes another rank's code for a crash
        return (EXIT_PREEMPTED if first else 0), line
    if full:
        return EXIT_NO_ROOM, line
    if isinstance(error, OutOfMemory):  # where the others wait for what it would have computed
        return EXIT_AGAIN, line
    return (2 if isinstance(error, UserError) else 1), line
