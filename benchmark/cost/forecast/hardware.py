"""How fast a machine trains: measured where `results/bench/` has it, else estimated.

Measured: a line through the steps that were measured of a method, or of the nearest that was, at
the nearest width: what a step costs whatever it computes, and what a multiply-accumulate costs.
Estimated: the peak that the vendor states, times a share of it that training reaches.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from benchmark.cost import bare
from benchmark.errors import UserError, nearest
from benchmark.results.speed import Bench, Loading, MachineSpeed, Row

# Of the stated peak, trainings of ViTs reach: the best of them about the first, eager code with
# small batches the last. PaLM (Chowdhery et al., 2022, table 3) lists 21 to 46 %.
UTILISATION = (0.45, 0.30, 0.15)
BLOCK_SECONDS = 1e-3  # least time of a block's step: some 150 kernels, launched one by one
SURE, UNSURE = 1.15, 1.4  # the range of what is measured, and of what was measured of others


class Range(NamedTuple):
    """A figure and the bounds it lies in."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> "Range":
        """Return all three times a factor."""
        return Range(*(factor * each for each in self))

    def plus(self, other: "Range") -> "Range":
        """Return the sums."""
        return Range(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Stated:
    """What a vendor states of a device: dense peaks, FLOP/s, and its memory in bytes."""

    name: str
    bf16: float
    fp32: float  # without tensor cores' TF32
    memory: float
    source: str


STATED = {
    "h100": Stated("NVIDIA H100 SXM", 989e12, 67e12, 80e9, "NVIDIA H100 datasheet"),
    "h200": Stated("NVIDIA H200 SXM", 989e12, 67e12, 141e9, "NVIDIA H200 datasheet"),
    "a100": Stated("NVIDIA A100 SXM 80GB", 312e12, 19.5e12, 80e9, "NVIDIA A100 datasheet"),
    "a100_40gb": Stated("NVIDIA A100 SXM 40GB", 312e12, 19.5e12, 40e9, "NVIDIA A100 datasheet"),
    "l40s": Stated("NVIDIA L40S", 362e12, 91.6e12, 48e9, "NVIDIA L40S datasheet"),
    "v100": Stated("NVIDIA V100 SXM2 32GB", 125e12, 15.7e12, 32e9, "NVIDIA V100 datasheet"),
}


@dataclass(frozen=True)
class Hardware:
    """A machine of `count` equal devices.

    Attributes:
        name: Of a device.
        gpu: Whether it is a GPU.
        count: Devices: GPUs, or cores that each train a run.
        cores: That decode. None: not said, of GPUs.
        memory: Bytes of a GPU; of a CPU those of the whole machine.
        speed: What was measured of it. None: it is estimated from `stated`.
        stated: What its vendor states.
        loading: Rates at which a core makes clips, of this machine or another.
    """

    name: str
    gpu: bool
    count: int
    cores: int | None
    memory: float
    speed: MachineSpeed | None = None
    stated: Stated | None = None
    loading: Sequence[Loading] = ()

    @property
    def basis(self) -> str:
        """What forecasts rest on, in words."""
        if self.speed is not None:
            kind, date = self.speed.machine.kind, self.speed.machine.date
            return f"measured: results/bench/{kind}.json, {date}"
        assert self.stated is not None
        best, middle, worst = (f"{100 * each:.0f}" for each in UTILISATION)
        return (
            f"estimated: {self.stated.bf16 / 1e12:,.0f} TFLOP/s in bf16, "
            f"{self.stated.fp32 / 1e12:,.1f} in 32 bits ({self.stated.source}), of which training "
            f"reaches {middle} % ({worst} to {best} %)"
        )

    def step(self, work: "Work", macs: float, *, forward: bool = False) -> Range:
        """Return the seconds of a step, or of a test's forward pass, on one device.

        Args:
            work: Of which method, of what ViT, how precisely.
            macs: Multiply-accumulates of it.
            forward: Whether it is a forward pass.
        """
        if self.speed is None:
            assert self.stated is not None
            peak = self.stated.fp32 if work.precision == "32-true" else self.stated.bf16
            least = BLOCK_SECONDS * work.depth / (3 if forward else 1)
            return Range(*(max(least, 2 * macs / (peak * share)) for share in UTILISATION))
        constant, slope, sure = _line(self.speed.benches, work, forward=forward)
        middle = constant + slope * macs
        spread = SURE if sure else UNSURE
        return Range(middle / spread, middle, middle * spread)


@dataclass(frozen=True)
class Work:
    """What a step is of, as far as its speed depends on it."""

    recipe: str  # the method's recipe
    method: str  # its function
    width: int
    depth: int
    precision: str


def _line(benches: Sequence[Bench], work: Work, *, forward: bool) -> tuple[float, float, bool]:
    """Return seconds of a step as constant and per MAC, and whether they were measured of that."""
    same = [each for each in benches if each.settings.precision == work.precision]
    found = _nearest_width(same or benches, work.width)
    rows = [(each, row) for each in found for row in each.rows]
    of = [(each, row) for each, row in rows if row.method == work.recipe]
    of = of or [(each, row) for each, row in rows if _function(row.method) == work.method]
    sure = bool(of and same) and 0.75 < found[0].settings.width / work.width < 1.5
    points = sorted(_point(each, row, forward=forward) for each, row in of or rows)
    distinct = {macs for macs, _ in points}
    if of and len(distinct) > 1:
        slope, constant = statistics.linear_regression(*zip(*points, strict=True))
        if constant >= 0 and slope >= 0:
            return constant, slope, sure
    return 0.0, statistics.median(seconds / macs for macs, seconds in points), sure


def _nearest_width(benches: Sequence[Bench], width: int) -> list[Bench]:
    def distance(each: Bench) -> float:
        return round(abs(math.log(each.settings.width / width)), 6)

    least = min(map(distance, benches))
    return [each for each in benches if distance(each) == least]


def _point(bench: Bench, row: Row, *, forward: bool) -> tuple[float, float]:
    """Return MACs and seconds of a step."""
    batch = bench.settings.batch
    if forward:
        return float(row.macs * batch), row.forward_seconds
    return float(row.training_macs * batch), row.step_seconds


@cache
def _function(method: str) -> str:
    """Return the function of a method's recipe; every run asks for those of all that was timed."""
    try:
        return str(bare.method(method)["name"])
    except UserError:  # of a method that is gone
        return method


def measured(kind: str, machines: Mapping[str, MachineSpeed]) -> MachineSpeed | None:
    """Return what was measured of a kind of device: "h100" is in "nvidia-h100-80gb-hbm3"."""
    wanted = kind.lower().replace("_", "-")
    with_benches = {name: each for name, each in machines.items() if each.benches}
    if wanted in with_benches:
        return with_benches[wanted]
    found = [name for name in with_benches if wanted in name.split("-")]
    return with_benches[found[0]] if found else None


def gpus(
    kind: str, count: int, cores: int | None, machines: Mapping[str, MachineSpeed]
) -> Hardware:
    """Return `count` GPUs of a kind.

    Raises:
        UserError: nothing was measured of that kind, and nothing is stated.
    """
    speed, stated = measured(kind, machines), STATED.get(kind)
    if speed is None and stated is None:
        raise UserError(
            f"--gpu {kind}: there is no such file in results/bench, and no peak is stated"
            f"{nearest(kind, STATED)}"
        )
    memory = stated.memory if stated else 80e9
    name = speed.machine.device if speed else (stated.name if stated else kind)
    loading = (speed.loading if speed else ()) or rates(machines)
    return Hardware(name, True, count, cores, memory, speed, stated, loading)


def cpu(
    device: str, kind: str, cores: int, memory: float, machines: Mapping[str, MachineSpeed]
) -> Hardware:
    """Return this machine, a run on each core.

    Raises:
        UserError: nothing was measured of it.
    """
    speed = measured(kind, machines)
    if speed is None:
        raise UserError(
            f"nothing was measured of {device}: `benchmark bench --save` writes "
            f"results/bench/{kind}.json"
        )
    return Hardware(
        device, False, cores, cores, memory, speed, None, speed.loading or rates(machines)
    )


def rates(machines: Mapping[str, MachineSpeed]) -> Sequence[Loading]:
    """Return how fast a core makes clips, of the first machine that it was measured of."""
    return next((each.loading for each in machines.values() if each.loading), ())
