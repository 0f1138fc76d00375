"""Files of tensors are read safely, or it is said in one line what is wrong with them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import UserError


@contextmanager
def reading(file: Path, remedy: str = "") -> Iterator[None]:
    """Tell in one line why the block, which reads `file`, could not.

    What is read may be anybody's: broken in any way, a reader raises whatever it stumbles over.

    Args:
        file: What is read.
        remedy: What helps if it is broken.

    Raises:
        UserError: it is not there, no file, empty, broken, or holds more than tensors and plain
            data.
    """
    try:
        with file.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    tail = f"; {remedy}" if remedy else ""
    if empty:
        raise UserError(f"{file}: is empty{tail}")
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{file}: does not fit into memory") from None
    except Exception as error:
        if objects := re.search(r"GLOBAL (\S+)", str(error)):  # torch names it so
            raise UserError(
                f"{file}: holds more than tensors and plain data ({objects[1]}), and is not read: "
                "that would run what somebody put there"
            ) from error
        raise UserError(
            f"{file}: is broken, cut off for instance, or another kind of file{tail}"
        ) from error
