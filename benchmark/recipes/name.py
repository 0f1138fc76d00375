"""A run's name, taken apart in one place: protocol/data/backbone/method/seedN.

Of several datasets of one kind, such as anyone's own folders of videos, `folder@mine` is one.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from benchmark.errors import UserError

SCRATCH = "scratch"  # what stands before a run whose recipe overrides changed
AT = "@"  # between a kind of dataset and the own name of one


def validate_called(called: str) -> None:
    """Check what data is called.

    Raises:
        UserError: no folder should have that name.
    """
    if not re.fullmatch(r"\w[\w.-]*", called):
        raise UserError(
            f"{called!r} is no name for data: letters, digits, '_', '-' and '.', as in folder@mine"
        )


@dataclass(frozen=True)
class RunName:
    """The name of a run, which says where it works and where its record lies.

    Attributes:
        protocol: How it is trained and tested, like the next three a recipe's name.
        data: What is watched, the kind of dataset.
        backbone: The image ViT.
        method: What adapts it.
        options: What stands behind the method: its own options ("width=128"), and overrides, which
            are a recipe's keys ("optim.lr=0.1", "decoder=torchcodec"), written so that a file can
            be called like that.
        seed: None where a name leaves it to the recipe.
        scratch: Whether the recipe was changed by overrides.
        called: The data's own name, where it has one.
    """

    protocol: str
    data: str
    backbone: str
    method: str
    options: tuple[str, ...] = ()
    seed: int | None = None
    scratch: bool = False
    called: str | None = None

    @staticmethod
    def parse(name: str) -> "RunName":
        """Return `name` taken apart.

        Raises:
            UserError: it is not a run's name.
        """
        plain = name.strip("/")
        parts = plain.removeprefix(f"{SCRATCH}/").split("/")
        seed = re.fullmatch(r"seed(\d+)", parts[4]) if len(parts) == 5 else None
        if (len(parts) != 4 and not seed) or not all(parts):
            raise UserError(
                f"{name!r} is no run's name: protocol/data/backbone/method or .../seedN"
            )
        protocol, data, backbone, last = parts[:4]
        data, at, called = data.partition(AT)
        if at:
            validate_called(called)
        method, *options = re.split(r",(?![^\[]*\])", last)  # commas, except within [ ]
        return RunName(
            protocol,
            data,
            backbone,
            method,
            tuple(options),
            int(seed[1]) if seed else None,
            scratch=plain.startswith(f"{SCRATCH}/"),
            called=called or None,
        )

    @property
    def row(self) -> str:
        """What the board calls the run's row: the method with its options."""
        return ",".join([self.method, *self.options])

    @property
    def dataset(self) -> str:
        """What is watched, with its own name."""
        return f"{self.data}{AT}{self.called}" if self.called else self.data

    @property
    def table(self) -> str:
        """Which table of the board the run stands in: all but its row and its seed."""
        parts = [self.protocol, self.dataset, self.backbone]
        return "/".join([SCRATCH, *parts] if self.scratch else parts)

    def without(self, options: Collection[str]) -> "RunName":
        """Return the name without some of its options: for people, no run is called so."""
        return replace(self, options=tuple(each for each in self.options if each not in options))

    def __str__(self) -> str:
        """Return the name as it is written."""
        seed = [] if self.seed is None else [f"seed{self.seed}"]
        return "/".join([self.table, self.row, *seed])


def shared_overrides(names: Sequence[RunName]) -> tuple[str, ...]:
    """Return the options that all of `names` have, in their order, where all are scratch runs."""
    if not names or not all(each.scratch for each in names):
        return ()
    first, *others = names
    return tuple(each for each in first.options if all(each in other.options for other in others))
