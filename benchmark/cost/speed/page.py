"""What was measured of machines as tables: on a terminal, and in `results/bench/README.md`."""

from collections.abc import Mapping, Sequence

from benchmark.cost.speed.growth import slope
from benchmark.leaderboard.markdown import code, escape, table
from benchmark.results import speed
from benchmark.results.speed import (
    Bench,
    Growth,
    Loading,
    Machine,
    MachineSpeed,
    Row,
    Settings,
    Sharing,
)
from datamodules.files import atomic_write

NONE = "–"
ABOUT = """\
# Speed by kind of machine

Written by `benchmark bench --save` from the files here, never by hand; `forecast` reads them.

All forms of a method take turns in one process, in another order every round; times are medians
over rounds, ratios medians of each round's ratio. A step is forward, backward and AdamW over what
trains, on clips that are there already. Before anything is timed logits and gradients of the forms
are held to agree: within 1e-4 of the largest value in 32 bits, 5e-2 under bf16. Weights are random.
On a CPU it is one thread and its processor time; on a GPU, CUDA's events.

**memory**: what a step keeps for backward (CPU), or allocates at most (GPU). **of matrix rate**:
multiply-accumulates of a step per second, as a share of what one large product of matrices reached
between the rounds. They are counted: forward, the gradients of activations that are needed, those
of weights that train. **plain ÷ ours**: the papers' form of the same layers
(`benchmark/cost/plain.py`) beside ours, above 1 ours is faster or smaller; – where no layer
differs. **÷ frozen ViT**: beside the plain frozen ViT that trains nothing but a head, the least
that any method costs.
"""


def bench_table(rows: Sequence[Row], how: Settings) -> str:
    """Return the rows of a bench as a table."""
    forms = sorted({form for row in rows for form in row.beside} - {"vit"})
    header = ["method", "step, ms", "clips/s", "forward, ms", "merged, ms", "memory, MB"]
    header += ["of matrix rate"]
    header += [f"{form} ÷ ours: {what}" for form in forms for what in ("step", "forward", "memory")]
    header += ["step ÷ frozen ViT", "merged ÷ ViT"]
    return table(header, [_cells(row, how, forms) for row in rows])


def _cells(row: Row, how: Settings, forms: Sequence[str]) -> list[str]:
    merged = NONE if row.merged_seconds is None else _ms(row.merged_seconds)
    cells = [code(row.method), _ms(row.step_seconds), f"{how.batch / row.step_seconds:.3g}"]
    cells += [_ms(row.forward_seconds), merged, f"{row.memory_bytes / 1e6:,.1f}"]
    cells += [f"{100 * row.matrix_share:.0f} %"]
    for form in forms:
        other = row.beside.get(form)
        figures = (other.step, other.forward, other.memory) if other else ()
        cells += [f"{each:.2f}" for each in figures] or [NONE] * 3
    cells += [f"{1 / row.beside['vit'].step:.2f}"]
    return [*cells, NONE if row.merged_beside_vit is None else f"{row.merged_beside_vit:.2f}"]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.1f}"


def setting(how: Settings) -> str:
    """Return in words of what steps are measured."""
    blocks = f"{how.depth} block{'' if how.depth == 1 else 's'}"
    clips = f"{how.batch} clip{'' if how.batch == 1 else 's'} of {how.frames} frames"
    more = ", compiled" if how.compiled else ""
    return f"{how.backbone}, {blocks}, {clips}, {how.size} px, {how.precision}{more}"


def about(machine: Machine) -> str:
    """Return in words on what was measured."""
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    return (
        f"{machine.device}, {cores}, {threads}; python {machine.python}, torch "
        f"{machine.torch}, timm {machine.timm}; commit {machine.commit}, {machine.date}"
    )


def growth_table(found: Sequence[Growth]) -> str:
    """Return the slopes, and of time and memory what the smallest and the largest took."""
    header = ["method", "with", "from … to", "time", "counted", "memory", "counted", "step, ms"]
    rows = []
    for each in found:
        values = [point.value for point in each.points]
        first, last = each.points[0], each.points[-1]
        slopes = [
            f"{slope(values, costs):.2f}"
            for costs in (
                [point.step_seconds for point in each.points],
                [float(point.training_macs) for point in each.points],
                [float(point.memory_bytes) for point in each.points],
                [float(point.saved_bytes) for point in each.points],
            )
        ]
        steps = f"{_ms(first.step_seconds)} … {_ms(last.step_seconds)}"
        where = f"{values[0]} … {values[-1]}"
        rows.append([code(each.method), each.axis, where, *slopes, steps])
    return table(header, rows, left=(0, 1))


def loading_table(found: Sequence[Loading]) -> str:
    """Return how fast a core makes training clips."""
    header = ["videos", "frames", "px", "sampling", "clips per second of a core"]
    rows = [
        [
            each.videos + (", cached" if each.cached else ""),
            str(each.frames),
            str(each.size),
            each.sampling,
            f"{each.clips_per_second:,.1f}",
        ]
        for each in found
    ]
    return table(header, rows, left=(0, 3))


def sharing_table(found: Sequence[Sharing]) -> str:
    """Return what runs that share their clips decode, and what they get of a core."""
    header = ["videos", "frames", "px", "sampling", "runs at once", "window", "decoded"]
    header += ["clips per second of a core", "alone", "times as many"]
    rows = [
        [
            each.videos,
            str(each.frames),
            str(each.size),
            each.sampling,
            str(each.runs),
            f"{each.window:g} of an epoch",
            f"{each.decoded:.2f}",
            f"{each.clips_per_second:,.1f}",
            f"{each.alone_per_second:,.1f}",
            f"{each.clips_per_second / each.alone_per_second:.1f}",
        ]
        for each in found
    ]
    return table(header, rows, left=(0, 3, 5))


def bench_text(found: Bench) -> str:
    """Return a bench: of what, and its table."""
    rate = f"a large product reaches {found.matrix_rate / 1e9:,.1f} GMAC/s"
    rounds = f"medians of {found.settings.rounds} rounds"
    return f"{setting(found.settings)}: {rate}; {rounds}\n\n" + bench_table(
        found.rows, found.settings
    )


def growth_text(found: Sequence[Growth]) -> str:
    """Return the growth of all methods: of what, and its table."""
    how = setting(found[0].settings)
    return f"Growth from {how}: slopes of the logarithms, 1 is proportional\n\n" + growth_table(
        found
    )


def page(machines: Mapping[str, MachineSpeed]) -> str:
    """Return the page of all machines."""
    parts = [ABOUT]
    for found in machines.values():
        parts.append(f"## {escape(found.machine.device)}\n\n{escape(about(found.machine))}\n")
        parts += [f"### {bench_text(each)}" for each in found.benches]
        if found.growth:
            parts.append(f"### {growth_text(found.growth)}")
        if found.loading:
            parts.append(
                f"### Making training clips: decoded, augmented, in a batch\n\n"
                f"{loading_table(found.loading)}"
            )
        if found.sharing:
            parts.append(
                f"### Clips that runs at once share: how many times each is decoded\n\n"
                f"{sharing_table(found.sharing)}"
            )
    return "\n".join(parts)


def write_page() -> None:
    """Write `README.md` beside the machines' files."""
    with atomic_write(speed.folder() / "README.md") as stream:
        stream.write(page(speed.machines()).encode())
