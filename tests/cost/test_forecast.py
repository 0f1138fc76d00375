"""The forecast: known numbers in, known hours out; what will not fit or will wait is told."""

from dataclasses import replace

import pytest
from planned import SWEEPS, recipes

from benchmark.cost import counts
from benchmark.cost.forecast import foresee as forecast
from benchmark.cost.forecast import hardware, models
from benchmark.cost.forecast import page as forecast_page
from benchmark.cost.forecast.foresee import Forecast, foresee, schedule
from benchmark.cost.forecast.hardware import STATED, Hardware, Range, Work
from benchmark.errors import UserError
from benchmark.recipes import build, compose
from benchmark.results.speed import Bench, Beside, Loading, Machine, MachineSpeed, Row, Settings

MACHINE = Machine(
    device="A Chip",
    cores=2,
    threads=1,
    python="3",
    torch="2",
    timm="1",
    commit="unknown",
    date="2026-11-28",
)
WORK = Work(recipe="aim", method="aim", width=96, depth=4, precision="32-true")
DIGITS = "quick/digits_motion/vit_digits"
K400 = "own/kinetics400/vit_b16_clip/st_adapter"


def bench(batch: int, seconds: float, width: int = 96, method: str = "aim") -> Bench:
    how = Settings(
        backbone="vit_digits",
        width=width,
        depth=4,
        size=32,
        frames=8,
        batch=batch,
        precision="32-true",
        rounds=3,
    )
    row = Row(
        method=method,
        trained_parameters=1,
        macs=1_000,
        training_macs=3_000,
        step_seconds=seconds,
        forward_seconds=seconds / 3,
        memory_bytes=1,
        matrix_share=0.5,
        beside={"vit": Beside(step=0.5, forward=1.0, memory=0.1)},
    )
    return Bench(settings=how, matrix_rate=1e9, rows=(row,))


def clips(rate: float, **changes: object) -> Loading:
    given = Loading(
        videos="digits",
        cached=True,
        frames=8,
        size=32,
        sampling="uniform",
        clips_per_second=rate,
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def measured(*benches: Bench, loading: tuple[Loading, ...] = ()) -> Hardware:
    speed = MachineSpeed(machine=MACHINE, benches=benches, loading=loading)
    return Hardware("A Chip", False, 2, 2, 8e9, speed, None, loading)


def gpus(count: int = 8, cores: int | None = None, kind: str = "h100") -> Hardware:
    return hardware.gpus(kind, count, cores, {})


def a_run(seconds: float, devices: int = 1) -> Forecast:
    return Forecast(
        recipe=compose.load(f"{DIGITS}/aim"),
        steps=1,
        train_seconds=Range(seconds, seconds, seconds),
        waits=0.0,
        test_seconds=Range(-forecast.START, -forecast.START, -forecast.START),
        memory=1.0,
        batch=1,
        most_batch=1,
        cores=0.0,
        decode_rate=1.0,
        checkpoint_bytes=0,
        scores_bytes=0,
        fits=True,
        devices=devices,
    )


def test_two_batches_tell_a_steps_constant_from_what_a_product_costs() -> None:
    on = measured(bench(1, 0.005), bench(4, 0.011))  # 3 ms, and 2 ms a clip of 3,000 MACs
    assert on.step(WORK, 9_000).middle == pytest.approx(0.009)
    assert on.step(WORK, 9_000).high == pytest.approx(0.009 * hardware.SURE)


def test_the_nearest_width_is_taken_and_a_method_that_was_not_measured_is_less_sure() -> None:
    on = measured(bench(1, 0.005), bench(1, 0.001, width=768))
    assert on.step(replace(WORK, width=1024), 3_000).middle == pytest.approx(0.001)
    assert on.step(replace(WORK, width=64), 3_000).middle == pytest.approx(0.005)
    other = on.step(replace(WORK, recipe="x", method="x"), 6_000)
    assert other.middle == pytest.approx(0.010)
    assert other.high == pytest.approx(0.010 * hardware.UNSURE)


def test_an_estimate_is_the_stated_peak_times_what_training_reaches_of_it() -> None:
    step = gpus().step(replace(WORK, precision="bf16-mixed"), 1e15)
    assert step.middle == pytest.approx(2e15 / (989e12 * 0.30))
    assert step.low < step.middle < step.high
    tiny = gpus().step(replace(WORK, precision="bf16-mixed"), 1e6)
    assert tiny.middle == pytest.approx(4 * hardware.BLOCK_SECONDS)  # kernels to be launched
    assert gpus().basis.startswith("estimated: 989 TFLOP/s in bf16")


def test_a_device_that_nobody_knows_is_told() -> None:
    with pytest.raises(UserError, match=r"--gpu h10: .*did you mean 'h100'"):
        gpus(kind="h10")
    found = MachineSpeed(machine=replace(MACHINE, device="NVIDIA H200"), benches=(bench(1, 0.1),))
    assert hardware.measured("h200", {"nvidia-h200": found}) is found
    assert hardware.measured("h100", {"nvidia-h200": found}) is None
    with pytest.raises(UserError, match="`benchmark bench --save`"):
        hardware.cpu("A Chip", "a-chip", 2, 8e9, {})


@pytest.mark.slow
def test_a_run_on_one_core_computes_and_decodes_one_after_the_other() -> None:
    on = measured(bench(1, 0.1), bench(16, 0.1), loading=(clips(1_000.0),))
    (run,) = foresee([compose.load(f"{DIGITS}/aim")], on)
    clips_trained = 1_600 * 4  # 2 epochs of 3,200
    assert run.steps == 1_600
    assert run.train_seconds.middle == pytest.approx(1_600 * 0.1 + clips_trained / 1_000)
    assert run.waits == pytest.approx(6.4 / 166.4)
    assert run.checkpoint_bytes == 12 * models.counted(run.recipe, 10).trained


@pytest.mark.slow
def test_runs_take_the_devices_that_are_free_first() -> None:
    one = a_run(10.0)
    assert schedule([one] * 4, gpus(count=2)).middle == pytest.approx(20.0)
    assert schedule([a_run(10.0), a_run(5.0), a_run(5.0)], gpus(count=2)).middle == 10.0
    both = a_run(3.0, devices=2)
    assert schedule([one, both, one], gpus(count=2)).middle == pytest.approx(23.0)


def test_clips_are_made_as_fast_as_those_of_the_nearest_videos() -> None:
    videos = "H.264, 340 x 256, 10 s"
    rates = (
        clips(2_000.0),
        clips(700.0, cached=False),
        clips(20.0, cached=False, videos=videos, sampling="dense", frames=8, size=224),
        clips(16.0, cached=False, videos=videos, sampling="dense", frames=16, size=224),
    )
    digits = compose.load(f"{DIGITS}/aim")
    assert forecast.decode_rate(digits, rates) == 2_000.0
    assert forecast.decode_rate(compose.load(f"{DIGITS}/aim", ["cache=false"]), rates) == 700.0
    film = compose.load(K400, ["clip.sampling=dense", "clip.frames=32"])
    assert forecast.decode_rate(film, rates) == 8.0  # half of 16 frames'
    assert forecast.decode_rate(film, ()) == forecast.DECODED_ELSEWHERE


def test_what_will_not_fit_or_will_wait_is_told_and_what_would_help() -> None:
    options = ["trainer.precision=bf16-mixed", "train.batch=512", "train.epochs=2"]
    recipe = compose.load(K400, options)
    on = gpus(count=8, cores=8)
    (run,) = foresee([recipe], on)
    assert run.steps == 2 * (246_534 // 512)  # of the official list: the videos are not here
    assert not run.fits and run.waits > 0.5
    said = forecast_page.text([run], on)
    most = f"max_batch_per_device={forecast_page._divisor(run)}"
    assert f"will not fit: {run.memory / 1e9:.1f} of 80 GB" in said and most in said
    assert "1 of 1 runs will wait for clips" in said and "`benchmark prepare`" in said
    (less,) = foresee([compose.load(K400, [*options, most])], on)
    assert less.fits and less.steps == run.steps


@pytest.mark.slow
def test_runs_that_see_the_same_clips_are_one_group() -> None:
    recipes = [compose.load(f"{DIGITS}/{m}/seed{s}") for m in ("aim", "full") for s in (0, 1)]
    runs = [replace(a_run(1.0), recipe=each) for each in recipes]
    groups = forecast.sharing(runs)
    assert [[r.recipe.seed for r in group] for group in groups] == [[0, 0], [1, 1]]


def test_how_many_videos_can_be_said_where_the_data_cannot() -> None:
    folder = compose.load("own/folder/vit_b16_clip/aim", ["data.root=/nowhere"])
    with pytest.raises(UserError, match="or say --videos TRAIN TEST"):
        forecast.sizes(folder)
    assert forecast.sizes(folder, (100, 10)) == (100, 10)
    held = compose.load(K400, ["train.holdout=0.1"])
    assert forecast.sizes(held, (100, 10)) == (90, 10)


@pytest.mark.slow
def test_a_fraction_and_few_shots_are_as_many_videos_as_they_are() -> None:
    for data, train in (
        ("kinetics400_tenth", 24_653),
        ("kinetics400_16shot", 16 * 400),
        ("hmdb51_2shot", 2 * 51),
    ):
        recipe = compose.load(f"few_shot/{data}/vit_b16_clip/aim")
        assert forecast.sizes(recipe)[0] == train
    held = compose.load("few_shot/ssv2_4shot/vit_b16_clip/aim", ["train.holdout=0.25"])
    assert forecast.sizes(held) == (3 * 174, 174)


def test_testing_decodes_a_clip_once_for_all_its_crops() -> None:
    given = ["test.clips=1", "optim.lr=1"]
    one, three = (compose.load(K400, [*given, f"test.crops={n}"]) for n in (1, 3))
    free, slow = gpus(count=1), gpus(count=1, cores=1)
    (a,), (b,) = foresee([one], free), foresee([three], free)
    assert b.test_seconds.middle == pytest.approx(3 * a.test_seconds.middle)
    (a,), (b,) = foresee([one], slow), foresee([three], slow)
    assert a.test_seconds.middle == b.test_seconds.middle == pytest.approx(19_906 / a.decode_rate)


@pytest.mark.slow
def test_a_model_of_more_classes_has_a_larger_head_and_nothing_else() -> None:
    recipe = compose.load(f"{DIGITS}/st_adapter")
    for classes in (10, models.CLASSES, 1_000):
        real = build.meta_model(recipe, classes)
        foreseen = models.counted(recipe, classes)
        assert foreseen.parameters == counts.parameters(real)
        assert foreseen.trained == counts.parameters(real, trained=True)
    probe = models.counted(compose.load(f"{DIGITS}/linear_probe"), 7)
    assert probe.trained == 7 * 97


@pytest.mark.slow
def test_tuning_is_foreseen_once_for_the_runs_of_a_method() -> None:
    names = [f"fair/ssv2/vit_b16_clip/{m}/seed{s}" for m in ("aim", "full") for s in (0, 1)]
    names += ["fair/ssv2/vit_b16_clip/aim,ratio=0.5/seed0"]
    recipes = [compose.load(each) for each in names]
    tried = forecast.trials(recipes, tuned=False)
    assert [(trial.method["name"], times) for trial, times in tried] == [("aim", 7), ("full", 7)]
    assert {(trial.train.epochs, trial.train.holdout) for trial, _ in tried} == {(8, 0.1)}
    assert forecast.sizes(tried[0][0]) == (168_913 - 16_891, 16_891)
    done = [replace(each, tuned={"trials": 7}) for each in recipes]
    assert forecast.trials(done, tuned=False) == [] and len(forecast.trials(done, tuned=True)) == 2
    assert forecast.trials([compose.load("quick/digits_motion/vit_digits/aim")], tuned=True) == []
    run = a_run(1_800.0, devices=2)
    said = forecast_page.text([run], gpus(), trials=[(run, 7)])
    assert "before them `benchmark tune`, 7 trials of 1 methods: 7 GPU hours (7 to 7)" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_can_be_foreseen(name: str) -> None:
    own = recipes(name)
    on = gpus(count=8, cores=128)
    runs = foresee(own, on, (100, 10))
    said = forecast_page.text(runs, on)
    assert f"all {len(own)} runs: " in said and set(STATED) >= {"h100", "a100"}
    assert all(run.train_seconds.low <= run.train_seconds.high for run in runs)
