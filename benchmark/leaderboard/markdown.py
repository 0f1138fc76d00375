"""Markdown that says what it was given: names and texts of unknown origin stay text in a page."""

import html
import re
from collections.abc import Sequence

from benchmark.errors import UserError


def escape(text: str) -> str:
    """Return text of unknown origin for a Markdown page: it stays text, on one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)


def code(text: str) -> str:
    """Return a name as a code span, safe in a table."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"


def link(text: str, url: str | None) -> str:
    """Return text that is Markdown already as a link, where there is an address."""
    return text if url is None else f"[{text}]({url})"


def anchor(heading: str) -> str:
    """Return what a forge makes of a heading, to link to it within a page."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a table of cells that are Markdown already; its columns but those `left` align right.

    Args:
        header: titles of the columns.
        rows: as many cells each.
        left: places of the columns that align left.
    """
    rule = ["---" if i in left else "--:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows)) + "\n"


def rewritten(page: str, begin: str, end: str, own: str, name: str) -> str:
    """Return a page with `own` in place of what stands between two lines.

    Args:
        page: All of it.
        begin: The line before, as in the page.
        end: The line behind.
        own: Markdown.
        name: Of the page, for the error.

    Raises:
        UserError: one of the lines is not in it.
    """
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UserError(f"{name}: no {begin.strip()} or no {end.strip()} in it")
    return "".join([before, begin, "\n", own, "\n", end, after])
