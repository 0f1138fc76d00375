"""Our own count of what papers print the cost of, and where the two differ."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from typing import Literal

import torch

from benchmark.cost import counts
from benchmark.errors import UserError
from benchmark.methods import adapt
from benchmark.models import backbone
from benchmark.recipes import compose
from benchmark.results.published import COUNTS, PUBLISHED, Row, label

SIZE = 224  # px, of the frames of every configuration that is counted
TOLERANCE = 0.01  # of a printed figure; what is further away must be explained


@dataclass(frozen=True)
class Count:
    """What a configuration costs: parameters, and MACs over as many views as its row has."""

    macs: int
    trained: int
    total: int

    def figure(self, key: str) -> float:
        """Return what a row prints as `key`, in its unit."""
        return {
            "gmacs": self.macs / 1e9,
            "trained_m": self.trained / 1e6,
            "total_m": self.total / 1e6,
        }[key]


@dataclass(frozen=True)
class Difference:
    """A printed figure that our count is more than `TOLERANCE` away from, and why."""

    row: Row
    key: str
    ours: float
    why: str


def count(row: Row, classes: int | None) -> Count | None:
    """Return our own count of a row's configuration, None where we have none such.

    Args:
        row: of the papers.
        classes: of its data; None: the head is left out.
    """
    known = row.method in compose.names("methods") and row.backbone in compose.names("backbones")
    if not known or row.frames is None or row.chosen is not None:
        return None
    body, head = _body_and_head(row.method, row.backbone, row.frames)
    heads = classes or 0
    return Count(
        macs=(body.macs + heads * head.macs) * (row.views or 1),
        trained=body.trained + heads * head.trained,
        total=body.total + heads * head.total,
    )


@cache
def _body_and_head(method: str, vit: str, frames: int) -> tuple[Count, Count]:
    """Return the cost of a view without the head, and what each class adds: a head is linear."""
    chosen = compose.read(f"backbones/{vit}")["backbone"]
    options = dict(compose.read(f"methods/{method}")["method"])
    with torch.device("meta"):
        frozen = backbone.build(chosen["name"], size=SIZE, options=chosen["options"])
        model = adapt(frozen, options.pop("name"), frames=frames, classes=1, **options)
    parameters = counts.parameters(model.head)
    head = Count(model.head.in_features, parameters, parameters)
    trained, tested = counts.parameters(model, trained=True), model.merged_or_self()
    total = counts.parameters(tested)
    body = Count(
        macs=counts.macs(tested, size=SIZE, keep=False) - head.macs,
        trained=trained - head.trained,
        total=total - head.total,
    )
    return body, head


def agreement(printed: float, ours: float) -> Literal["near", "rounded", "far"]:
    """Return whether ours is within `TOLERANCE` of a printed figure, or rounds to it, or neither.

    It rounds to it where it is the same to as many decimals as are printed.
    """
    distance = abs(ours - printed)
    if distance <= TOLERANCE * printed:
        return "near"
    exponent = Decimal(str(printed)).as_tuple().exponent
    assert isinstance(exponent, int)
    return "rounded" if distance <= 0.5 * 10.0 ** min(exponent, 0) * (1 + 1e-9) else "far"


def differences(
    rows: Sequence[Row], ours: Sequence[Count | None]
) -> tuple[list[Difference], dict[str, int]]:
    """Return what differs, and how many figures of each key do not.

    Raises:
        UserError: one that differs is not explained.
    """
    found, agreeing = [], dict.fromkeys(COUNTS, 0)
    for i, (row, own) in enumerate(zip(rows, ours, strict=True)):
        for key in COUNTS:
            printed = getattr(row, key)
            if own is None or printed is None:
                continue
            if agreement(printed, own.figure(key)) != "far":
                agreeing[key] += 1
            elif why := (row.differences or {}).get(key):
                found.append(Difference(row, key, own.figure(key), why))
            else:
                raise UserError(
                    f"{PUBLISHED.name}: {label(i, asdict(row))}: {key} is {printed}, by our count "
                    f"{own.figure(key):.6g}: say why under differences.{key}"
                )
    return found, agreeing
