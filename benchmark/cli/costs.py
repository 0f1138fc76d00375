"""Verbs about speed: measure it, and foresee what a sweep takes."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.verb import Verb
from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.results.speed import Bench, MachineSpeed, Settings

# those of the sweep `quick`
METHODS = "full_divided,full,aim,zeroi2v,st_adapter,prompt_tuning,partial,linear_probe"
PRECISIONS = ("32-true", "bf16-mixed")
BLOCKS = {"depth": 2, "frames": 4}  # of ViT-B/16: minutes on two cores
MOST = 10_000_000  # of devices, cores or videos: a forecast holds a list of the first


def bench_arguments(parser: ArgumentParser) -> None:
    """Add what `bench` takes."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    parser.add_argument(
        "--methods", nargs="+", metavar="METHOD", help="to time, such as aim,ratio=0.5"
    )
    parser.add_argument("--full", action="store_true", help="all of ViT-B/16, 8 frames")
    parser.add_argument("--backbone", metavar="NAME", help="a file in recipes/backbones")
    for name, what in {
        "depth": "blocks of the ViT",
        "size": "side of a frame in pixels",
        "frames": "frames of a clip",
        "batch": "clips of a step",
        "rounds": "timings that a median is of, default 3",
    }.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=what)
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=PRECISIONS[0], help="default 32-true"
    )
    parser.add_argument("--compile", action="store_true", help="compile each block")
    parser.add_argument("--growth", action="store_true", help="scale frames, size, depth, batch")
    parser.add_argument("--loading", action="store_true", help="time data loading instead")
    parser.add_argument("--sharing", action="store_true", help="time clips that runs share")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--save", action="store_true", help="write the results to results/bench")


def bench(args: Namespace) -> None:
    """Measure each method's training step beside the papers' form of it and the frozen ViT.

    benchmark bench --methods aim st_adapter
    benchmark bench --full --save
    benchmark bench --growth --methods aim
    """
    import torch

    from benchmark.cost.speed import bench, growth, page
    from benchmark.results import speed
    from datamodules.files import demand_writable, display_path

    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU here that torch sees")
    for name in ("depth", "size", "frames", "batch", "rounds"):
        if (number := getattr(args, name)) is not None and number < 1:
            raise UserError(f"--{name} {number}: not a number above 0")
    if args.json:
        demand_writable(args.json)
    found: dict[str, Any] = {}
    machine = bench.machine(args.device)
    print(f"{page.about(machine)}\n")
    methods = args.methods or (growth.METHODS if args.growth else METHODS.split(","))
    if args.growth:
        base = {"name": "vit_s16_in21k", "depth": 2, "size": 112, **_given(args)}
        grown = []
        for each in growth.measure(methods, bench.settings(**base), args.device):
            grown.append(each)
            print(page.growth_table([each]), flush=True)
        found["growth"] = tuple(grown)
        print(page.growth_text(grown))
    elif args.loading:
        from benchmark.cost.speed import loading

        found["loading"] = loading.measure()
        print(page.loading_table(found["loading"]))
    elif args.sharing:
        from benchmark.cost.speed import loading

        found["sharing"] = loading.sharing()
        print(page.sharing_table(found["sharing"]))
    else:
        found["benches"] = ()
        for how in _scales(args):
            found["benches"] += (_benched(list(methods), how, args.device),)
            _keep(args, speed.MachineSpeed(machine=machine, **found))  # what follows takes minutes
    _keep(args, speed.MachineSpeed(machine=machine, **found))
    if args.save:
        print(f"see {display_path(speed.path(machine.kind))}")


def _keep(args: Namespace, found: "MachineSpeed") -> None:
    """Write what was measured where it was asked for."""
    from benchmark.cost.speed import page
    from benchmark.results import speed

    if args.json:
        args.json.write_text(speed.text(found), encoding="utf-8")
    if args.save:
        speed.write(found)
        page.write_page()


def _given(args: Namespace) -> dict[str, Any]:
    """Return what was typed of settings."""
    names = ("depth", "size", "frames", "batch", "rounds")
    typed = {name: number for name in names if (number := getattr(args, name)) is not None}
    named = {"name": args.backbone} if args.backbone else {}
    how = {"device": args.device, "precision": args.precision, "compiled": args.compile}
    return {**how, **named, **typed}


def _scales(args: Namespace) -> "list[Settings]":
    """Return the settings to measure: one where a backbone is named, else a small and a large."""
    from benchmark.cost.speed.bench import settings

    given = _given(args)
    if args.backbone:
        small = {"size": 32} if args.backbone == "vit_digits" else {}
        return [settings(**{**small, **given})]
    large = {"name": "vit_b16_clip", "batch": 8 if args.device == "cuda" else 1}
    large |= {} if args.full else BLOCKS
    digits = {"name": "vit_digits", "size": 32, "device": args.device}
    rounds = {"rounds": args.rounds} if args.rounds else {}
    own = {"precision": args.precision, "compiled": args.compile, **rounds}
    return [*(settings(**digits, **own, batch=n) for n in (4, 16)), settings(**{**large, **given})]


def _benched(methods: list[str], how: "Settings", device: str) -> "Bench":
    """Measure all methods, telling each as soon as it is known, then the table."""
    import statistics

    from benchmark.cost.speed import bench, page
    from benchmark.results.speed import Bench

    print(f"{page.setting(how)}", flush=True)
    rows, rates = [], []
    for row, rate in bench.measure(methods, how, device):
        print(f"  {row.method}: {1e3 * row.step_seconds:,.1f} ms", flush=True)
        rows.append(row)
        rates.append(rate)
    found = Bench(settings=how, matrix_rate=statistics.median(rates), rows=tuple(rows))
    print(f"\n{page.bench_text(found)}", flush=True)
    return found


def forecast_arguments(parser: ArgumentParser) -> None:
    """Add what `forecast` takes."""
    parser.add_argument("name", nargs="?", metavar="SWEEP", help="a sweep, or a run")
    parser.add_argument("--all", action="store_true", help="every sweep of real videos, on an H100")
    parser.add_argument("--save", action="store_true", help="write it to recipes/README.md")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--gpu", metavar="KIND", help="run on GPUs of this kind, such as h100")
    where.add_argument("--cpu", action="store_true", help="run on this machine's cores (default)")
    parser.add_argument("--count", type=int, metavar="N", help="of GPUs, or of cores that train")
    parser.add_argument("--cores", type=int, metavar="N", help="cores that decode, beside GPUs")
    counts = ("TRAIN", "TEST")
    parser.add_argument("--videos", type=int, nargs=2, metavar=counts, help="of the dataset")


def forecast(args: Namespace) -> None:
    """Forecast hours, memory, decoding cores and disk of a sweep; what will not fit or will wait.

    benchmark forecast fair_digits
    benchmark forecast quick --gpu h100 --count 8 --cores 128
    benchmark forecast paper/kinetics400/vit_b16_clip/aim --gpu a100 trainer.devices=8 --count 8
    benchmark forecast --all
    """
    from benchmark.cost.forecast import hardware
    from benchmark.cost.forecast import page as forecast_page
    from benchmark.cost.forecast.foresee import foresee, foresee_trials
    from benchmark.results import record, speed
    from benchmark.sweeps.devices import cores
    from benchmark.sweeps.plan import job, plan
    from datamodules.sharing.memory import free_memory

    if args.all or args.name is None:
        _forecast_all(args)
        return
    if args.save:
        raise UserError("--save is for --all: what all sweeps take stands in recipes/README.md")
    given = {"count": [args.count], "cores": [args.cores], "videos": args.videos or []}
    for name, numbers in given.items():
        for number in numbers:
            if number is not None and not 1 <= number <= MOST:
                raise UserError(f"--{name} {number}: not a number between 1 and {MOST:,}")
    jobs = [job(args.name, args.overrides)] if "/" in args.name else plan(args.name, args.overrides)
    recipes = [each.recipe for each in jobs]
    machines = speed.machines()
    if args.gpu:
        on = hardware.gpus(args.gpu, args.count or 1, args.cores, machines)
    else:
        from benchmark.cost.speed.bench import machine

        own = machine("cpu")
        memory = free_memory()
        on = hardware.cpu(own.device, own.kind, args.count or cores(), memory, machines)
    videos = tuple(args.videos) if args.videos else None
    runs = foresee(recipes, on, videos)
    tuning = foresee_trials(recipes, on, videos, tuned=False)
    files = {each.name: record.path(each.name) for each in recipes}
    found = {name: record.read(file) for name, file in files.items() if file.exists()}
    print(forecast_page.text(runs, on, None if args.gpu else found, tuning))


def _forecast_all(args: Namespace) -> None:
    """Print what every committed sweep of real videos takes, and write it where asked."""
    from benchmark.cost.forecast import models, sweeps_page
    from benchmark.recipes import compose
    from benchmark.sweeps.plan import plan

    if not args.all:
        raise UserError("forecast what? Name a sweep or a run, or say --all")
    others = (args.name, args.gpu, args.cpu, args.count, args.cores, args.videos, args.overrides)
    if any(others):
        raise UserError("--all stands alone: every sweep as it is committed, on one H100")
    if args.save:
        models.keep(each.recipe for name in compose.names("sweeps") for each in plan(name))
    real = {name: [each.recipe for each in plan(name)] for name in sweeps_page.names()}
    own = sweeps_page.sweeps_table(real)
    print(own)
    if args.save:
        sweeps_page.write(own)


VERBS = {
    "bench": Verb(bench, bench_arguments),
    "forecast": Verb(forecast, forecast_arguments, overrides=True),
}
