"""How a training step's time and memory grow with frames, size, depth and batch.

The slope is that of a line through the logarithms: 1 is proportional, 2 quadratic. Beside each
measured one stands that of what is counted: multiply-accumulates, and bytes kept for backward.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from benchmark.cost import counts
from benchmark.cost.speed import bench
from benchmark.cost.speed.step import seconds
from benchmark.recipes import bare
from benchmark.results.speed import Growth, Point, Settings

AXES: dict[str, tuple[int, ...]] = {
    "frames": (4, 8, 16, 32, 64),
    "size": (64, 112, 160, 224),
    "depth": (1, 2, 4, 8),
    "batch": (1, 2, 4, 8),
}
METHODS = ("full_divided", "aim", "st_adapter", "zeroi2v", "prompt_tuning", "full")


def measure(
    methods: Sequence[str],
    how: Settings,
    device: str,
    axes: dict[str, tuple[int, ...]] | None = None,
) -> Iterator[Growth]:
    """Yield the growth of each method's step along each axis, all else being as in `how`.

    Raises:
        UserError: a method is unknown.
    """
    known = {name: bare.method(name) for name in methods}
    if device == "cpu":
        torch.set_num_threads(1)
    for name, options in known.items():
        for axis, values in (axes or AXES).items():
            points = [
                _point(options, replace(how, **{axis: value}), device, value)  # type: ignore[arg-type]
                for value in values
            ]
            yield Growth(method=name, axis=axis, settings=how, points=tuple(points))


def _point(options: dict[str, object], how: Settings, device: str, value: int) -> Point:
    step, macs = bench.one(options, how, device)
    step.train()  # warms up
    return Point(
        value=value,
        step_seconds=statistics.median(seconds(step.train, device) for _ in range(how.rounds)),
        memory_bytes=step.memory(),
        training_macs=macs,
        saved_bytes=counts.saved_bytes(step.model, size=how.size) * how.batch,
    )


def slope(values: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the line through the logarithms, by least squares.

    Args:
        values: Above 0, at least two that differ.
        costs: Of each, above 0.
    """
    return statistics.linear_regression(
        [math.log(each) for each in values], [math.log(each) for each in costs]
    ).slope
