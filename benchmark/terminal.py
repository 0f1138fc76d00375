"""Standard output and error, wherever they lead: an ASCII terminal, a closed pipe, a full disk.

What is printed tells of work, it is not the work: nothing that cannot be printed may end a run.
"""

import codecs
import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO, cast

# What Lightning says in vain, to whoever can do nothing about it.
NOISE = (
    "The `srun` command is available",  # a run outside of Slurm is meant to be
    ".*LeafSpec",  # lightning 2.6 on torch 2.15
    "You're resuming from a checkpoint that ended before the epoch",  # our samplers resume
    "It is recommended to use .*sync_dist=True",  # every rank has the same number
    ".*does not have many workers",
)

STAND_INS = {  # of what we print, where the encoding of a terminal or a log file lacks it
    **{"×": "x", "±": "+-", "·": "-", "†": "+", "‡": "++", "…": "...", "—": "-", "–": "-"},
    **dict.fromkeys("━─╸╺", "-"),  # of progress bars
}


class Stream(io.BufferedIOBase):
    """What is printed to `below`; from its first error on, it is let go.

    Attributes:
        error: The first error; None: all was printed.
    """

    def __init__(self, below: IO[bytes]) -> None:
        self.error: OSError | None = None
        self._below = below

    def writable(self) -> bool:
        """Say yes."""
        return True

    def isatty(self) -> bool:
        """Return whether a person watches."""
        return self._below.isatty()

    def fileno(self) -> int:
        """Return the descriptor below."""
        return self._below.fileno()

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Print `data`, all of which counts as printed."""
        try:
            self._below.write(data)
        except OSError as error:
            self._let_go(error)
        return len(data)

    def flush(self) -> None:
        """Print what is kept back."""
        try:
            self._below.flush()
        except OSError as error:
            self._let_go(error)

    def _let_go(self, error: OSError) -> None:
        """Lead what is kept back, and what children print, to nowhere."""
        self.error = self.error or error
        null = os.open(os.devnull, os.O_WRONLY)
        with suppress(io.UnsupportedOperation):  # it is no file
            os.dup2(null, self.fileno())
        os.close(null)


@contextmanager
def forgiving() -> Iterator[Stream | None]:
    """Let the block print to stdout and stderr whatever there is, and yield stdout, None if closed.

    Characters that their encoding lacks get stand-ins; what cannot be written is let go.
    """
    codecs.register_error("stand-in", _stand_in)
    before, streams = (sys.stdout, sys.stderr), list[Stream | None]()
    for name in ("stdout", "stderr"):
        text = getattr(sys, name)
        streams.append(Stream(text.buffer) if isinstance(text, io.TextIOWrapper) else None)
        if (stream := streams[-1]) is not None:
            text.flush()
            own = io.TextIOWrapper(
                cast(BinaryIO, stream),
                encoding=text.encoding,
                errors="stand-in",
                line_buffering=text.line_buffering,
                write_through=True,
            )
            setattr(sys, name, own)
    try:
        yield streams[0]
    finally:
        for printed in (sys.stdout, sys.stderr):
            if printed is not None:
                printed.flush()
        sys.stdout, sys.stderr = before


def exit_code(code: int, stdout: Stream | None) -> int:
    """Return `code`, or 1 if not all was printed; say so unless the reader left, as `head` does."""
    if stdout is None:
        return code
    sys.stdout.flush()
    if stdout.error is None:
        return code
    if stdout.error.errno != errno.EPIPE:
        said = f"error: standard output: {stdout.error.strerror}; what was to be printed is lost"
        print(said, file=sys.stderr)
    return code or 1


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    escaped = {each: each.encode("ascii", "backslashreplace").decode() for each in missing}
    return "".join((escaped | STAND_INS)[each] for each in missing), error.end


def quiet() -> None:
    """Keep to what somebody can do something about: no hints, no tables of devices."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
