"""A user's mistakes, told in one line: what is wrong, where, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches

FEW = 12  # so many names are listed in full


class UserError(Exception):
    """A mistake of the user: shown as one line without a traceback, exit code 2."""


def nearest(name: str, options: Iterable[str]) -> str:
    """Return the tail of an error about `name`: the nearest of `options`, and all if they are few.

    Of dotted keys the last parts are compared: what comes before says nothing about a typo.
    """
    options = sorted(options)
    parts = {option: option.rpartition(".")[2] for option in options}  # "lr" of "optim.lr"
    close = get_close_matches(name.rpartition(".")[2], parts.values(), n=1, cutoff=0.6)
    near = [option for option in options if parts[option] in close]
    tail = f"; did you mean {near[0]!r}?" if near else ""
    if not options:
        return f"{tail or ';'} there are none"
    if len(options) <= FEW:
        return f"{tail or ';'} there are: {', '.join(options)}"
    return tail or f"; there are: {', '.join(options[:FEW])}, and {len(options) - FEW} more"
