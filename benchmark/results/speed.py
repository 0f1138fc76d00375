"""What was measured of a kind of machine: `results/bench/<kind>.json`, typed.

A machine's file holds a bench per setting, the growth of a step's cost, how fast clips are made,
and what runs that share them save. `benchmark bench --save` writes it, `benchmark forecast` reads
it.
"""

import json
import platform
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmark.errors import UserError
from benchmark.results import record
from benchmark.results.schema import parse
from datamodules.files import atomic_write, display_path

VERSION = 1  # of the JSON
FOLDER = "bench"  # in RESULTS; no protocol is called so


@dataclass(frozen=True, kw_only=True)
class Machine:
    """On what was measured, and with what."""

    device: str  # the name of the GPU, or of the processor
    cores: int
    threads: int  # of torch
    python: str
    torch: str
    timm: str
    commit: str  # "unknown" without git
    date: str

    @property
    def kind(self) -> str:
        """What its file is called."""
        return re.sub(r"[^a-z0-9]+", "-", self.device.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of what steps were measured."""

    backbone: str  # of a file in recipes/backbones; its weights are random
    width: int  # of the ViT
    depth: int  # blocks
    size: int  # px of a frame
    frames: int
    batch: int  # clips in a step
    precision: str
    compiled: bool = False
    rounds: int  # that medians are of


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Another form's figures over those of the method as it is: above 1, it takes more."""

    step: float
    forward: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method: a step trains on `batch` clips."""

    method: str
    trained_parameters: int
    macs: int  # of one clip, forward
    training_macs: int  # of one clip: forward, and what of backward is needed
    step_seconds: float  # forward, backward, AdamW
    forward_seconds: float  # without gradients
    merged_seconds: float | None = None  # forward of the merged model; None: nothing merges
    merged_beside_vit: float | None = None  # that over the plain ViT's forward
    memory_bytes: int  # kept for backward (CPU), or allocated at most (CUDA)
    matrix_share: float  # of the rate of a large matrix product in the same minutes
    beside: dict[str, Beside]  # "plain": the papers' form, "vit": the frozen ViT under its head


@dataclass(frozen=True, kw_only=True)
class Bench:
    """All methods in one setting."""

    settings: Settings
    matrix_rate: float  # multiply-accumulates per second of a large matrix product
    rows: tuple[Row, ...]

    def with_rows(self, newer: "Bench") -> "Bench":
        """Return the newer bench with the methods that only this one has."""
        rows = {row.method: row for row in (*self.rows, *newer.rows)}
        return replace(newer, rows=tuple(rows.values()))


@dataclass(frozen=True, kw_only=True)
class Point:
    """A step's cost where one thing is `value`."""

    value: int
    step_seconds: float
    memory_bytes: int
    training_macs: int  # of the step, counted
    saved_bytes: int  # for backward, counted


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How a step's cost grows with one thing, all others as in `settings`."""

    method: str
    axis: str  # "frames", "size", "depth" or "batch"
    settings: Settings
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How fast one core makes training clips: decoded, augmented, in a batch."""

    videos: str  # what they are
    cached: bool
    frames: int
    size: int
    sampling: str
    clips_per_second: float


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """What runs at once take that share their training clips, beside a run alone."""

    videos: str  # what they are
    frames: int
    size: int
    sampling: str
    runs: int  # the slowest takes a third of what the fastest does
    window: float  # share of an epoch that is kept
    decoded: float  # how many times each clip was
    clips_per_second: float  # that runs get, of a core
    alone_per_second: float


@dataclass(frozen=True, kw_only=True)
class MachineSpeed:
    """All that was measured of a kind of machine."""

    machine: Machine
    benches: tuple[Bench, ...] = ()
    growth: tuple[Growth, ...] = ()
    loading: tuple[Loading, ...] = ()
    sharing: tuple[Sharing, ...] = ()

    def merged(self, newer: "MachineSpeed") -> "MachineSpeed":
        """Return both, the newer where they are about the same."""
        benches = {_key(each.settings): each for each in self.benches}
        for each in newer.benches:
            key = _key(each.settings)
            benches[key] = benches[key].with_rows(each) if key in benches else each
        growth = {(each.method, each.axis): each for each in (*self.growth, *newer.growth)}
        return replace(
            newer,
            benches=tuple(benches[key] for key in sorted(benches)),
            growth=tuple(growth[key] for key in sorted(growth)),
            loading=newer.loading or self.loading,
            sharing=newer.sharing or self.sharing,
        )


def _key(settings: Settings) -> str:
    """Return what tells one setting from another: all but how often it was measured."""
    return str(sorted(asdict(replace(settings, rounds=0)).items()))


def processor() -> str:
    """Return the name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def folder() -> Path:
    """Return where the files of all machines lie."""
    return record.RESULTS / FOLDER


def path(kind: str) -> Path:
    """Return where the file of a kind of machine lies."""
    return folder() / f"{kind}.json"


def text(found: MachineSpeed) -> str:
    """Return the JSON of what was measured."""
    return json.dumps({"version": VERSION, **asdict(found)}, indent=2, allow_nan=False) + "\n"


def write(found: MachineSpeed, file: Path | None = None) -> Path:
    """Write what was measured, whole or not at all; what else its file holds stays.

    Raises:
        UserError: the file that is there holds something else.
    """
    file = file or path(found.machine.kind)
    whole = read(file).merged(found) if file.exists() else found
    with atomic_write(file) as stream:
        stream.write(text(whole).encode())
    return file


def read(file: Path) -> MachineSpeed:
    """Return what a file holds.

    Raises:
        UserError: it holds something else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.pop("version", None) != VERSION:
            raise ValueError(f"version is not {VERSION}")
        speed: MachineSpeed = parse(MachineSpeed, found)
    except (OSError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{display_path(file)}: no file of `benchmark bench`: {said}") from None
    return speed


def machines() -> dict[str, MachineSpeed]:
    """Return what was measured, by kind of machine."""
    return {file.stem: read(file) for file in sorted(folder().glob("*.json"))}
