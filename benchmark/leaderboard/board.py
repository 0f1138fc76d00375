"""The leaderboard on disk: the files of RESULTS that show its records, kept right."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from benchmark.leaderboard import pages
from benchmark.leaderboard.tables import Tables
from benchmark.results import record
from benchmark.results.record import Record
from datamodules.files import atomic_write, demand_folder, demand_writable, file_state

PAGE = "README.md"
INTERACTIVE = "index.html"
PICTURES = [f"{name}{theme}.svg" for name in pages.PICTURES for theme in ("", "-dark")]
PACKAGES = ("altair", "itables", "vl_convert")  # of the extra `page`


def write() -> None:
    """Write the boards of RESULTS and their index: whatever of them differs.

    Raises:
        UserError: RESULTS is no folder, or nobody can write there.
    """
    _update(trusting=False)


def refresh() -> None:
    """Write the boards of RESULTS, and their index, where the records say otherwise.

    What is drawn takes seconds, and shows what the page says: it is taken to be right while the
    page is and it is younger than the records, which may differ by less than the page's digits.
    """
    _update(trusting=True)


def render(protocol: str, records: Sequence[Record], found: Tables | None = None) -> dict[str, str]:
    """Return the files of a protocol's folder by name; the same records give the same bytes.

    The interactive page is among them where the extra `page` is installed.

    Args:
        protocol: Its name.
        records: All of its records.
        found: Their tables. None: made of them.
    """
    found = pages.tested(records) if found is None else found
    files = {PAGE: pages.board(protocol, records, found)}
    if found:
        # they import matplotlib, and altair: too slow for those who only read numbers
        from benchmark.leaderboard import pictures

        files |= pictures.draw(found)
        if interactive_possible():
            from benchmark.leaderboard.interactive.page import interactive

            files[INTERACTIVE] = interactive(found, f"Leaderboard: {protocol}", pages.NOTE)
    return files


def interactive_possible() -> bool:
    """Return whether the packages of the extra `page` are here."""
    return all(find_spec(each) for each in PACKAGES)


def interactive_hint() -> str:
    """Return what to tell someone who looks for the interactive page, "" where it is there."""
    return "" if interactive_possible() else "; pip install '.[page]' adds a page to sort and plot"


def _update(*, trusting: bool) -> None:
    demand_folder(record.RESULTS)
    files, found = record.files(), pages.by_protocol(record.records())
    times: dict[str, int] = {}  # when a protocol's newest record was written
    for file in files:
        protocol = file.relative_to(record.RESULTS).parts[0]
        _, changed = file_state(file.parent, file.name)  # None: set aside meanwhile
        times[protocol] = max(times.get(protocol, 0), changed or 0)
    tables = {protocol: pages.tested(records) for protocol, records in found.items()}
    for protocol, records in found.items():
        folder = record.RESULTS / protocol
        page = pages.board(protocol, records, tables[protocol])
        current = trusting and _holds(folder / PAGE, page)
        if not (current and _drawn(folder, tables[protocol], times[protocol])):
            _write(folder, render(protocol, records, tables[protocol]))
    for folder in _boards() - {record.RESULTS / protocol for protocol in found}:
        _write(folder, {})
    index = record.RESULTS / PAGE
    if found or index.exists():
        kept = found.keys() - out_of_git(found)
        text = pages.index({each: tables[each] for each in found if each in kept and tables[each]})
        if not _holds(index, text):
            _write_file(index, text)


def _drawn(folder: Path, found: Tables, newest: int) -> bool:
    """Return whether all that is drawn of a protocol is there, and younger than its records."""
    drawn = [f"{name}{theme}.svg" for name in pages.pictured(found) for theme in ("", "-dark")]
    names = [*drawn, *([INTERACTIVE] if interactive_possible() else [])]
    files = [folder / name for name in names]
    return all(each.exists() and each.stat().st_mtime_ns > newest for each in files)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write what differs, and remove what a protocol that lost its records had."""
    for name in {PAGE, INTERACTIVE, *PICTURES} - files.keys():
        if (folder / name).is_file():
            (folder / name).unlink(missing_ok=True)
    for name, text in files.items():  # only now: a board that cannot be drawn stays as it was
        if not _holds(folder / name, text):
            _write_file(folder / name, text)
        elif name != PAGE:  # drawn anew, though it may be the same, as after a checkout
            with suppress(OSError):  # where it is somebody else's, it is drawn again next time
                os.utime(folder / name)


def _write_file(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: RESULTS is no folder, or nobody can write there.
    """
    demand_writable(file)
    own = file.with_name(f".{uuid4().hex}")  # another process may write the same at this moment
    with atomic_write(own) as stream:
        stream.write(text.encode(errors="replace"))
    own.replace(file)


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_bytes() == text.encode(errors="replace")


def _boards() -> set[Path]:
    """Return the folders that hold a board of ours, of records that may be gone."""
    found = [each for each in record.RESULTS.glob(f"*/{PAGE}") if each.is_file()]
    return {each.parent for each in found if each.read_bytes().startswith(pages.TITLE.encode())}


def out_of_git(protocols: Iterable[str]) -> set[str]:
    """Return those protocols whose results git ignores, none where there is no git.

    The index, which is committed, must not change with them.
    """
    folders = [f"{each}/" for each in protocols]
    command = ["git", "-C", str(record.RESULTS), "check-ignore", "--no-index", *folders]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return set()
    return {line.removesuffix("/") for line in said.stdout.splitlines()}
