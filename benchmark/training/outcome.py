"""What a run leaves: its record, and beside it the answers and scores that it is of.

A run that is trained and tested has its result in memory alone. Where a disk has no room for it the
run waits, with growing pauses, for somebody to make some: its device is taken for an hour at most.
Then it ends, as any run on a full disk: started again it is tested again, with the same result.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.results import answers, predictions, record, splits
from benchmark.results.record import Record
from benchmark.runs import progress
from benchmark.training import evaluation
from benchmark.training.evaluation import Scores
from datamodules.dataset_info import Split
from datamodules.files import NO_ROOM, atomic_write, why_unwritten
from datamodules.progress_bar import format_duration

PAUSES = (10, 30, 60, 120, 300, *(600,) * 5)  # seconds before the tries that follow the first


def write_results(
    result: Record,
    split: Split,
    scores: Scores,
    merged: Scores | None,
    *,
    keep_scores: bool,
    folder: Path,
) -> None:
    """Write a record, and what lies beside it; wait where a disk is full.

    Args:
        result: The record.
        split: What was tested on.
        scores: Of every video.
        merged: Those of the merged model, if it merges.
        keep_scores: Whether they are written, too.
        folder: Where the run works, and says that it waits.

    Raises:
        OSError: Nothing can be written there, or not after more than an hour either.
    """
    file = record.path(result.name)

    def write() -> None:
        splits.write(file, split)
        answers.write(file, evaluation.answers(scores, merged))
        if keep_scores:
            _write_scores(predictions.path(file), scores)
        result.write()  # last: its being there says the run is done

    _patiently(write, file, folder)


def _patiently(write: Callable[[], None], file: Path, folder: Path) -> None:
    """Write, again and again if a disk has no room, and tell that."""
    for pause in PAUSES:
        try:
            return write()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            line = (
                f"{file}: {why_unwritten(error, file)}; the run is done, and its record is written "
                f"as soon as there is room: next try in {format_duration(pause)}"
            )
        print(f"warning: {line}", file=sys.stderr, flush=True)
        progress.write(folder, stage="test", note=line, within=2 * pause)  # till the next line
        time.sleep(pause)
    write()


def _write_scores(path: Path, scores: Scores) -> None:
    with atomic_write(path) as file:
        np.savez_compressed(
            file,
            index=scores.index.numpy(),
            label=scores.label.numpy(),
            scores=scores.scores.numpy(),
            clips_right=scores.clips_right.numpy(),
        )
