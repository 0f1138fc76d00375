"""`benchmark forecast`: what the runs of a sweep will take, before they run.

Hours, memory, cores that decode, disk: of each run and of all, on devices that run one after the
other what the sweep lists. What a run computes is counted; how fast, `hardware` says.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark import lookup
from benchmark.cost.forecast.hardware import NOTHING, Hardware, Range, Work
from benchmark.cost.forecast.models import CLASSES, Counted, counted
from benchmark.errors import UserError
from benchmark.recipes import build, dataset, tuning
from benchmark.recipes.compose import PACKAGES
from benchmark.recipes.name import RunName
from benchmark.recipes.schema import Recipe
from benchmark.results.speed import Loading

START = 12.0  # seconds of a run's process before it trains: imports, the model, its data
ACTIVATIONS = {"32-true": 1.0, "bf16-mixed": 0.6, "16-mixed": 0.6}  # of what 32 bits keep
CONTEXT = {True: 1.5e9, False: 0.8e9}  # bytes of a process: with a GPU on it, and on a CPU
FULL = 0.92  # of a GPU's memory, the rest being fragments
DECODED_ELSEWHERE = 18.0  # clips per second of a core where nothing was measured: bench-data's


@dataclass(frozen=True)
class Forecast:
    """What one run will take.

    Attributes:
        recipe: Of the run.
        steps: Of the optimiser.
        train_seconds: Training, waiting for data included.
        waits: Share of it in which the devices wait for clips, by the middle estimate.
        test_seconds: Of all passes.
        memory: Bytes of a device, or of the process.
        batch: Clips at once on a device.
        most_batch: As many as fit there.
        cores: That decode as fast as it trains.
        decode_rate: Clips per second of a core.
        checkpoint_bytes: On disk, with what AdamW knows.
        scores_bytes: Of all test videos.
        fits: Whether the memory is enough.
        devices: It trains on.
    """

    recipe: Recipe
    steps: int
    train_seconds: Range
    waits: float
    test_seconds: Range
    memory: float
    batch: int
    most_batch: int
    cores: float
    decode_rate: float
    checkpoint_bytes: int
    scores_bytes: int
    fits: bool
    devices: int

    @property
    def seconds(self) -> Range:
        """Wall time of the run."""
        start = Range(START, START, START)
        return self.train_seconds.plus(self.test_seconds).plus(start)


def foresee(
    recipes: Sequence[Recipe], hardware: Hardware, videos: tuple[int, int] | None = None
) -> list[Forecast]:
    """Return what each run will take.

    Args:
        recipes: Of the runs.
        hardware: They run on.
        videos: Of training and of testing, where the data is not here to be counted.

    Raises:
        UserError: a recipe's data is not here, and how many videos it has is not said.
    """
    needed = max(map(_devices(hardware), recipes), default=1)
    at_once = max(1, min(len(recipes), hardware.count // needed))
    return [_foreseen(each, hardware, at_once, videos) for each in recipes]


def _foreseen(
    recipe: Recipe, hardware: Hardware, at_once: int, videos: tuple[int, int] | None
) -> Forecast:
    devices = _devices(hardware)(recipe)
    classes, (training, testing) = _classes(recipe), sizes(recipe, videos)
    known = counted(recipe, classes)
    work = Work(
        recipe=RunName.parse(recipe.name).method,
        method=str(recipe.method["name"]),
        width=known.width,
        depth=known.depth,
        precision=recipe.trainer.precision,
    )
    full, rest = divmod(training, recipe.train.batch)
    rest = 0 if recipe.train.drop_last else rest
    steps = recipe.train.epochs * (full + (rest > 0))
    share = -(-recipe.train.batch // devices)
    batch = min(share, recipe.max_batch_per_device or share)
    step = hardware.step(work, known.training_macs * batch).times(share / batch)
    rate = decode_rate(recipe, hardware.loading)
    computing = step.times(steps)
    clips = recipe.train.epochs * (full * recipe.train.batch + rest)
    decoding, workers = clips / rate, hardware.cores
    if not hardware.gpu and recipe.workers == 0:  # one after the other, on the one core
        train = computing.plus(Range(decoding, decoding, decoding))
    elif workers is None:
        train = computing
    else:
        waiting = decoding / max(1.0, workers / at_once)
        train = Range(*(max(each, waiting) for each in computing))
    seen = testing * recipe.test.clips * known.passes  # a clip is decoded once for its crops
    views, of = seen * recipe.test.crops, max(1, recipe.test.batch)
    test = hardware.step(work, known.macs * of, forward=True).times(views / of / devices)
    if not hardware.gpu:
        looking = seen / rate / max(1.0, (workers or devices) / at_once)
        test = test.plus(Range(looking, looking, looking))
    elif workers is not None:
        looking = seen / rate / max(1.0, workers / at_once)
        test = Range(*(max(each, looking) for each in test))
    fixed, per_clip = _memory(recipe, known, gpu=hardware.gpu)
    room = FULL * hardware.memory / (1 if hardware.gpu else at_once) - fixed
    memory = fixed + per_clip * batch
    return Forecast(
        recipe=recipe,
        steps=steps,
        train_seconds=train,
        waits=1 - computing.middle / train.middle if train.middle else 0.0,
        test_seconds=test,
        memory=memory,
        batch=batch,
        most_batch=max(0, int(room / max(1.0, per_clip))),
        cores=decoding / computing.middle if computing.middle else 0.0,
        decode_rate=rate,
        checkpoint_bytes=3 * 4 * known.trained,
        scores_bytes=4 * testing * classes if recipe.save.scores else 0,
        fits=memory <= fixed + room,
        devices=devices,
    )


def most_clips(recipe: Recipe, classes: int, memory: float) -> int:
    """Return how many clips at once fit a GPU of so many bytes; where none does, 0."""
    fixed, per_clip = _memory(recipe, counted(recipe, classes), gpu=True)
    return max(0, int((FULL * memory - fixed) / max(1.0, per_clip)))


def _memory(recipe: Recipe, known: Counted, *, gpu: bool) -> tuple[float, float]:
    """Return the bytes that a run takes of a device whatever its batch, and those per clip."""
    fixed = 4 * known.parameters + 12 * known.trained + CONTEXT[gpu]
    return fixed, known.saved_bytes * ACTIVATIONS[recipe.trainer.precision]


def trials(recipes: Sequence[Recipe], *, tuned: bool) -> list[tuple[Recipe, int]]:
    """Return a trial of each method of `recipes` that its protocol wants tuned, and their number.

    Trials differ in what is tuned, which costs the same; an ablation is tuned as its method.

    Args:
        recipes: Of the runs that are to be tuned.
        tuned: Whether those that are tuned already are meant, too.
    """
    found: dict[str, tuple[Recipe, int]] = {}
    for each in recipes:
        if bool(each.tuning.trials) if tuned else not tuning.is_tuned(each):
            plain = replace(RunName.parse(each.name), options=(), seed=None)
            changed = tuning.trial_overrides(each, {})
            holdout, epochs = changed["train.holdout"], changed["train.epochs"]
            trial = replace(each, train=replace(each.train, holdout=holdout, epochs=epochs))
            found.setdefault(str(plain), (trial, each.tuning.trials * len(each.tuning.seeds)))
    return list(found.values())


def foresee_trials(
    recipes: Sequence[Recipe],
    hardware: Hardware,
    videos: tuple[int, int] | None = None,
    *,
    tuned: bool,
) -> list[tuple[Forecast, int]]:
    """Return what `trials` of `recipes` take, and how many there are of each.

    Raises:
        UserError: as `foresee`.
    """
    tried = trials(recipes, tuned=tuned)
    runs = foresee([trial for trial, _ in tried], hardware, videos)
    return [(run, times) for run, (_, times) in zip(runs, tried, strict=True)]


def device_hours(runs: Iterable[tuple[Forecast, int]]) -> Range:
    """Return the hours of all devices together that so many of each of `runs` take."""
    total = NOTHING
    for run, times in runs:
        total = total.plus(run.seconds.times(times * run.devices / 3600))
    return total


def schedule(runs: Sequence[Forecast], hardware: Hardware) -> Range:
    """Return the seconds until the last run is done: each takes the devices that are free first."""
    if not runs:
        return NOTHING

    def until(pick: Callable[[Range], float]) -> float:
        free = [0.0] * max(hardware.count, max(run.devices for run in runs))
        for run in runs:
            free.sort()
            done = free[run.devices - 1] + pick(run.seconds)
            free[: run.devices] = [done] * run.devices
        return max(free)

    return Range(until(lambda r: r.low), until(lambda r: r.middle), until(lambda r: r.high))


def sharing(runs: Sequence[Forecast]) -> list[list[Forecast]]:
    """Return the runs in groups that see the same clips, which could be decoded once for all."""
    groups: dict[str, list[Forecast]] = {}
    for run in runs:
        groups.setdefault(dataset.clips_of(run.recipe), []).append(run)
    return list(groups.values())


def sizes(recipe: Recipe, said: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return how many videos a run trains and is tested on.

    Of a dataset that ships its source, as many as are written; of a standard one that is not here,
    those of its official list.

    Raises:
        UserError: it is neither, and nobody says.
    """
    name = recipe.data["name"]
    if said is not None:
        train, test = said
    elif lookup.fact(PACKAGES["data"], name, "DRAWN"):
        known = inspect.signature(lookup.find(PACKAGES["data"], name)).parameters
        options = {key: each.default for key, each in known.items()} | recipe.data
        if recipe.train.holdout:
            return int(options["train"]), int(options["holdout"])
        return int(options["train"]), int(options["test"])
    else:
        try:
            data = build.dataset(recipe)
            return len(data.splits["train"]), len(data.splits[data.evaluation_split])
        except UserError as error:
            listed = lookup.fact(PACKAGES["data"], name, "SIZES")
            if not listed:
                raise UserError(f"{error}; or say --videos TRAIN TEST") from None
            first = next(iter(listed.values())) if isinstance(listed, dict) else listed[0]
            train, test = first
            shots, fraction = recipe.data.get("shots"), recipe.data.get("fraction")
            if shots or fraction:
                train = shots * _classes(recipe) if shots else round(fraction * train)
    held = round(recipe.train.holdout * train)
    return (train - held, held) if held else (train, test)


def decode_rate(recipe: Recipe, loading: Sequence[Loading]) -> float:
    """Return the clips per second that a core makes of a recipe's data, by the nearest measured."""
    drawn = bool(lookup.fact(PACKAGES["data"], recipe.data["name"], "DRAWN"))
    clip = recipe.clip

    def distance(each: Loading) -> tuple[bool, bool, bool, float]:
        away = abs(each.frames - clip.frames)
        other = (each.sampling == "uniform") != (clip.sampling == "uniform")
        return (each.videos == "digits") != drawn, each.cached != recipe.cache, other, away

    if not loading:
        return DECODED_ELSEWHERE
    found = min(loading, key=distance)
    return found.clips_per_second * min(1.0, found.frames / clip.frames)


def _devices(hardware: Hardware) -> Callable[[Recipe], int]:
    """Return what tells how many devices a run takes; -1 are all."""

    def ask(recipe: Recipe) -> int:
        wanted = recipe.trainer.devices
        nodes = max(1, recipe.trainer.num_nodes)
        count = nodes * (wanted if wanted > 0 else hardware.count)
        return count if hardware.gpu else 1

    return ask


def _classes(recipe: Recipe) -> int:
    """Return how many classes the head has, CLASSES where only the data could tell, not here."""
    if lookup.fact(PACKAGES["data"], recipe.data["name"], "DRAWN"):
        return 10  # listing them would write them
    try:
        return dataset.num_classes(recipe.data)
    except UserError:
        return CLASSES
