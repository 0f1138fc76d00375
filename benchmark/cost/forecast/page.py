"""A forecast as a person reads it: a line for the seeds of a run, all of them, what would help."""

from collections.abc import Iterator, Mapping, Sequence

from benchmark.cost.forecast.foresee import Forecast, device_hours, schedule, sharing
from benchmark.cost.forecast.hardware import Hardware
from benchmark.leaderboard.markdown import table
from benchmark.results.record import Record
from datamodules.progress_bar import format_duration

PREPARED = 1.5, 2.6  # times as fast: datamodules/README.md, 16 dense and 8 uniform frames
WAITS = 0.05  # of a training, from which on it is told
WITHIN = 0.25  # of what was measured a forecast should be
GIGA = 1e9


def text(
    runs: Sequence[Forecast],
    hardware: Hardware,
    measured: Mapping[str, Record] | None = None,
    trials: Sequence[tuple[Forecast, int]] = (),
) -> str:
    """Return the forecast of a sweep.

    Args:
        runs: Of the sweep, in its order.
        hardware: They run on.
        measured: Records of these runs, by name, to hold the forecast against.
        trials: Of each method that is still to be tuned one, and how many there are.
    """
    devices = f"{hardware.count} x {hardware.name}"
    cores = "" if hardware.cores is None or not hardware.gpu else f", {hardware.cores} cores"
    records = measured or {}
    parts = [
        f"{devices}{cores}; {hardware.basis}\n",
        _table(runs, records),
        *_total(runs, hardware),
        *_tuning(trials, hardware),
    ]
    parts += _advice(runs, hardware)
    if records:
        parts += _check(runs, records)
    return "\n".join(parts)


def _table(runs: Sequence[Forecast], records: Mapping[str, Record]) -> str:
    """Return a line for the seeds of each run: they cost the same."""
    header = ["run", "seeds", "hours", "from … to", "waits", "memory, GB", "cores", "disk, MB"]
    header += ["measured ÷ forecast"] if records else []
    groups: dict[str, list[Forecast]] = {}
    for run in runs:
        groups.setdefault(run.recipe.name.rpartition("/")[0], []).append(run)
    rows = []
    for name, group in groups.items():
        run = group[0]
        low, middle, high = run.seconds.times(1 / 3600)
        disk = (run.checkpoint_bytes + run.scores_bytes) / 1e6
        cells = [name, str(len(group)), _hours(middle), f"{_hours(low)} … {_hours(high)}"]
        cells += [f"{100 * run.waits:.0f} %", f"{run.memory / GIGA:.1f}{'' if run.fits else ' !'}"]
        cells += [f"{run.cores:.1f}", f"{disk:,.1f}"]
        if records:
            found = [ratio(r, records[r.recipe.name]) for r in group if r.recipe.name in records]
            cells.append(f"{sum(found) / len(found):.2f}" if found else "–")
        rows.append(cells)
    return table(header, rows)


def _hours(hours: float) -> str:
    return f"{hours:.3g}" if hours < 100 else f"{hours:,.0f}"


def _total(runs: Sequence[Forecast], hardware: Hardware) -> Iterator[str]:
    low, middle, high = schedule(runs, hardware)
    alone = sum(run.seconds.middle * run.devices for run in runs) / 3600
    disk = sum(run.checkpoint_bytes + run.scores_bytes for run in runs) / GIGA
    kind = "GPU" if hardware.gpu else "core"
    yield (
        f"all {len(runs)} runs: {_words(middle)} ({_words(low)} to {_words(high)}), "
        f"{_hours(alone)} {kind} hours, {disk:,.2f} GB of checkpoints and scores"
    )


def _tuning(trials: Sequence[tuple[Forecast, int]], hardware: Hardware) -> Iterator[str]:
    if trials:
        low, middle, high = device_hours(trials)
        count, kind = sum(times for _, times in trials), "GPU" if hardware.gpu else "core"
        yield (
            f"before them `benchmark tune`, {count} trials of {len(trials)} methods: "
            f"{_hours(middle)} {kind} hours ({_hours(low)} to {_hours(high)})"
        )


def _words(seconds: float) -> str:
    return format_duration(seconds)


def _advice(runs: Sequence[Forecast], hardware: Hardware) -> Iterator[str]:
    """Yield what will not fit or will wait, and what would change that."""
    for run in runs:
        if not run.fits:
            have = f"{run.memory / GIGA:.1f} of {hardware.memory / GIGA:.0f} GB"
            if run.most_batch:
                yield (
                    f"{run.recipe.name} will not fit: {have} with {run.batch} clips at once; "
                    f"max_batch_per_device={_divisor(run)} does, the step's batch staying the same"
                )
            else:
                yield f"{run.recipe.name} will not fit: {have}, and not with one clip at once"
    if not hardware.gpu:
        return
    slow = [run for run in runs if run.waits > WAITS]
    at_once = min(len(runs), max(1, hardware.count // max(run.devices for run in runs)))
    needed = at_once * sum(run.cores for run in runs) / len(runs)
    shared = max(len(group) for group in sharing(runs))
    least, most = PREPARED
    if hardware.cores is None:
        yield f"so as not to wait, {at_once} at once take {needed:,.0f} cores that decode (--cores)"
    elif slow:
        worst = max(slow, key=lambda run: run.waits)
        yield (
            f"{len(slow)} of {len(runs)} runs will wait for clips, {worst.recipe.name} for "
            f"{100 * worst.waits:.0f} % of its training: {at_once} at once want {needed:,.0f} cores"
        )
    if hardware.cores is None or slow:
        yield (
            f"`benchmark prepare` makes decoding {least} to {most} x as fast: "
            f"{needed / most:,.0f} to {needed / least:,.0f} cores"
        )
        if (together := min(shared, at_once)) > 1:
            yield (
                f"{shared} runs see the same clips; decoded once for {together} at once they want "
                f"{needed / together:,.0f} cores"
            )


def _divisor(run: Forecast) -> int:
    """Return the most clips at once that fit and divide the step's share of a device."""
    share = max(1, run.recipe.train.batch // run.devices)
    return max(n for n in range(1, max(1, run.most_batch) + 1) if share % n == 0)


def ratio(run: Forecast, found: Record) -> float:
    """Return the seconds that a run trained over those that are foreseen."""
    return found.cost.train_seconds / max(run.train_seconds.middle, 1e-9)


def _check(runs: Sequence[Forecast], records: Mapping[str, Record]) -> Iterator[str]:
    pairs = [(run, records[run.recipe.name]) for run in runs if run.recipe.name in records]
    ratios = [ratio(run, found) for run, found in pairs]
    near = sum(1 - WITHIN <= each <= 1 + WITHIN for each in ratios)
    trained = sum(found.cost.train_seconds for _, found in pairs)
    foreseen = sum(run.train_seconds.middle for run, _ in pairs)
    yield (
        f"of {len(pairs)} runs that have records, {near} trained within {100 * WITHIN:.0f} % of "
        f"the forecast, all together {trained / foreseen:.2f} times as long"
    )
