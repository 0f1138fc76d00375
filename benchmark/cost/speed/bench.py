"""`benchmark bench`: every method's step beside its papers' form and beside the frozen ViT.

All forms of a method take turns in one process, round by round, and so does a large product of
matrices. Before anything is timed, the forms must agree in logits and gradients. On a CPU it is one
thread and its processor time, as runs have it; on a GPU, CUDA's events.
"""

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from benchmark.cost import bare, counts
from benchmark.cost.plain import plain
from benchmark.cost.speed.step import MatrixProduct, Step, demand_equal, seconds
from benchmark.methods import adapt
from benchmark.models import backbone
from benchmark.models.video_vit import VideoViT
from benchmark.results.speed import Beside, Machine, Row, Settings, processor
from datamodules.files import ROOT

CLASSES = 400
VIT = "linear_probe"  # the frozen ViT, plain, under a head that trains
NOISE = 0.02  # added to what trains, some of which starts at zero and would do nothing


def settings(
    name: str,
    *,
    device: str,
    depth: int | None = None,
    size: int = 224,
    frames: int = 8,
    batch: int = 1,
    rounds: int = 3,
    precision: str = "32-true",
    compiled: bool = False,
) -> Settings:
    """Return what steps are measured of.

    Args:
        name: Of a file in recipes/backbones.
        device: "cpu" or "cuda".
        depth: How many of its blocks; None: all.
        size: Of a frame, in px.
        frames: Of a clip.
        batch: Clips in a step.
        rounds: That medians are of.
        precision: "32-true" or "bf16-mixed".
        compiled: Whether torch.compile takes each block.

    Raises:
        UserError: there is no such backbone, or it does not take frames of this size.
    """
    with torch.device("meta"):
        vit = _vit(name, depth, size)
    return Settings(
        backbone=name,
        width=vit.embed_dim,
        depth=len(vit.blocks),
        size=size,
        frames=frames,
        batch=batch,
        precision=precision,
        compiled=compiled,
        rounds=rounds,
    )


def build(options: Mapping[str, Any], how: Settings) -> VideoViT:
    """Return a method's model, with weights that are the same for the same settings.

    Raises:
        UserError: the method cannot change this ViT.
    """
    torch.manual_seed(0)
    vit = _vit(how.backbone, how.depth, how.size)
    own = dict(options)
    model = adapt(vit, own.pop("name"), frames=how.frames, classes=CLASSES, **own)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(NOISE * torch.randn_like(p))
    return model


def _vit(name: str, depth: int | None, size: int) -> Any:
    chosen = bare.backbone(name)
    options = {**chosen["options"], **({} if depth is None else {"depth": depth})}
    return backbone.build(chosen["name"], size=size, options=options)


def measure(
    methods: Sequence[str],
    how: Settings,
    device: str,
    forms: Mapping[str, Callable[[VideoViT], VideoViT]] | None = None,
) -> Iterator[tuple[Row, float]]:
    """Yield a row for each method, and the matrix rate that its rounds saw.

    Args:
        methods: As `bare.method` takes them.
        how: Of what.
        device: "cpu" or "cuda".
        forms: What each method is measured beside; default the papers' form.

    Raises:
        UserError: a method is unknown, or two forms are not the same mathematics.
    """
    known = {name: bare.method(name) for name in methods}  # a typo stops here
    if device == "cpu":
        torch.set_num_threads(1)
    product = MatrixProduct(device, how.precision)
    for name, options in known.items():
        yield _row(name, options, how, device, product, forms or {"plain": plain})


def _row(
    name: str,
    options: Mapping[str, Any],
    how: Settings,
    device: str,
    product: MatrixProduct,
    forms: Mapping[str, Callable[[VideoViT], VideoViT]],
) -> tuple[Row, float]:
    model = build(options, how)
    macs = counts.macs(model, size=how.size)
    training = counts.training_macs(model, size=how.size)
    own = _step(model, how, device)
    steps = {"": own}
    for form, change in forms.items():
        if _differs(changed := change(build(options, how))):
            steps[form] = _step(changed, how, device)
            demand_equal(own, steps[form], how.precision, f"{name}: its {form} form")
    steps["vit"] = _step(plain(build(bare.method(VIT), how)), how, device)
    merged = _step(model.merge(), how, device) if model.mergeable else None
    if how.compiled:
        for each in (*steps.values(), *([merged] if merged else [])):
            for block in each.model.vit.blocks:
                block.compile()
    memory = {form: each.memory() for form, each in steps.items()}
    times = _rounds(steps, merged, how.rounds, device, product)
    rate = statistics.median(times.matrix)
    step = statistics.median(times.steps[""])
    row = Row(
        method=name,
        trained_parameters=counts.parameters(model, trained=True),
        macs=macs,
        training_macs=training,
        step_seconds=step,
        forward_seconds=statistics.median(times.forwards[""]),
        merged_seconds=statistics.median(times.merged) if merged else None,
        merged_beside_vit=_ratio(times.merged, times.beside_merged) if merged else None,
        memory_bytes=memory[""],
        matrix_share=training * how.batch / step / rate,
        beside={
            form: Beside(
                step=_ratio(times.steps[form], times.steps[""]),
                forward=_ratio(times.forwards[form], times.forwards[""]),
                memory=memory[form] / max(1, memory[""]),
            )
            for form in steps
            if form
        },
    )
    return row, rate


@dataclass
class _Times:
    """Seconds of every round."""

    steps: dict[str, list[float]]
    forwards: dict[str, list[float]]
    merged: list[float]
    beside_merged: list[float]  # the frozen ViT's forward, right before or behind
    matrix: list[float]


def _rounds(
    steps: Mapping[str, Step],
    merged: Step | None,
    rounds: int,
    device: str,
    product: MatrixProduct,
) -> _Times:
    """Let all forms take turns, in another order every round, after one round that warms up."""
    names = list(steps)
    times = _Times({name: [] for name in names}, {name: [] for name in names}, [], [], [])
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            taken = seconds(steps[name].forward, device), seconds(steps[name].train, device)
            if number:
                times.forwards[name].append(taken[0])
                times.steps[name].append(taken[1])
        pair = [(times.merged, merged), (times.beside_merged, steps["vit"])] if merged else []
        for found, step in pair[:: 1 if number % 2 else -1]:
            taken_forward = seconds(step.forward, device)
            if number:
                found.append(taken_forward)
        if (rate := product.rate()) and number:
            times.matrix.append(rate)
    return times


def _step(model: VideoViT, how: Settings, device: str) -> Step:
    torch.manual_seed(1)
    channels = int(model.vit.patch_embed.proj.in_channels)
    video = torch.randn(how.batch, channels, how.frames, how.size, how.size)
    label = torch.arange(how.batch) % CLASSES
    return Step(model, video, label, device=device, precision=how.precision)


def one(options: Mapping[str, Any], how: Settings, device: str) -> tuple[Step, int]:
    """Return a method's step by itself, and the MACs of it."""
    model = build(options, how)
    macs = counts.training_macs(model, size=how.size) * how.batch
    return _step(model, how, device), macs


def _differs(model: VideoViT) -> bool:
    """Return whether a layer of a form computes otherwise than its class does."""
    return any("forward" in vars(module) for module in model.modules())


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median over rounds of one time over another."""
    return statistics.median(a / max(b, 1e-9) for a, b in zip(theirs, ours, strict=True))


def machine(device: str) -> Machine:
    """Return on what this is measured, and with what.

    `device` is "cpu" or "cuda".
    """
    return Machine(
        device=torch.cuda.get_device_name() if device == "cuda" else processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        threads=1 if device == "cpu" else torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        timm=version("timm"),
        commit=_commit(),
        date=datetime.now(UTC).date().isoformat(),
    )


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return said.stdout.strip() if said.returncode == 0 else "unknown"
