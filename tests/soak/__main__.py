"""The soak: sweeps that faults meet end with the records of one that none has met, bit for bit.

`make soak` does it on this machine, Ray and Slurm, in some ten minutes of CPU time. To fill a
disk it mounts a small one in memory, and it starts a Slurm where there is none: both as root alone.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from importlib.util import find_spec
from pathlib import Path

from aftermath import Aftermath, aftermaths, table
from faults import KINDS, POLL, Fault, Met, deliver, plan
from same import differences
from slurm_here import started
from small_disk import mounted
from typed_sweep import SAVED, STEPS, Sweep

from benchmark.runs.process import interruptible

LAUNCHERS = ("local", "ray", "slurm")
ROOM = "size=96m"  # of a sweep's disk
MOST = 25  # times that a command is typed, after which a sweep is given up
HOURS = 1.5  # likewise
BREATH = 1.0  # seconds before it is typed again


def main() -> int:
    """Soak; return 0 if nothing differs from the undisturbed sweep."""
    parser = argparse.ArgumentParser("make soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", nargs="+", choices=LAUNCHERS, default=LAUNCHERS)
    parser.add_argument("--faults", type=int, help="on each launcher, default each kind once: 20")
    parser.add_argument("--seed", type=int, default=0, help="of the faults, default 0")
    parser.add_argument("--place", type=Path, help="to work in, kept with its undisturbed sweep")
    args = parser.parse_args()
    place = (args.place or Path(tempfile.mkdtemp(prefix="soak-"))).absolute()
    say(f"seed {args.seed}, on {', '.join(args.on)}, in {place}")
    whole = Sweep(place / "undisturbed", place / "data", "local")
    with closing(whole):
        _, wrong = soak(whole, [])
    found, same = dict[str, list[list[Aftermath]]](), dict[str, str]()
    for on in args.on if not wrong else ():
        with started() if on == "slurm" else nullcontext(without(on)) as why:
            if why:
                say(f"{on}: left out, {why}")
                continue
            found[on], same[on], told = launcher(on, args.faults, args.seed, whole)
            wrong += told
    print(f"\n{table(found, same)}\n", *wrong, sep="\n")
    if not wrong and not args.place:
        shutil.rmtree(place)
    return 1 if wrong else 0


def without(on: str) -> str:
    """Return what a launcher lacks here, "" if nothing."""
    return "Ray is not installed" if on == "ray" and not find_spec("ray") else ""


def launcher(
    on: str, faults: int | None, seed: int, whole: Sweep
) -> tuple[list[list[Aftermath]], str, list[str]]:
    """Soak on a launcher, a sweep after the other until all faults have come.

    Returns:
        Of each fault what became of the runs it met; how many records are those of the `whole`
        sweep; and a line for each thing that is wrong.
    """
    found, wrong, differ, runs = list[list[Aftermath]](), list[str](), 0, 0
    todo = plan(on, faults, seed, steps=STEPS)
    while todo:
        sweep = Sweep(whole.place.with_name(f"{on}{runs}"), whole.data, on)
        with mounted(sweep.disk, ROOM) as why, closing(sweep):
            if why:
                say(f"{on}: no disk is filled, none can be mounted here: {why}")
                todo = [each for each in todo if each.kind != "disk"]
            met, told = soak(sweep, todo)
            wrong += told
            todo = todo[len(met) :]
            if todo and not (met and sweep.done()):
                wrong.append(f"{on}: {len(todo)} faults have not come")
                todo = []
            for name in sweep.names:
                runs += 1
                unlike = differences(whole.disk, sweep.disk, name)
                differ += bool(unlike)
                wrong += [f"{on}: {each}" for each in unlike]
            for became in aftermaths(met, sweep):
                wrong += [f"{on}: {one}: too much is lost" for one in became if one.lost > SAVED]
                found.append(became)
            shutil.copytree(sweep.disk, sweep.place / "left")
    return found, f"{runs - differ} of {runs}", wrong


def soak(sweep: Sweep, faults: Sequence[Fault]) -> tuple[list[Met], list[str]]:
    """Type a sweep until it is done, while faults happen; return which have, and what is wrong."""
    todo, met, wrong, made = list(faults), list[Met](), list[str](), 0
    deadline = time.monotonic() + 3600 * HOURS
    while not sweep.done():
        if sweep.typed == MOST:
            wrong.append(f"{sweep.on}: not done, though typed {MOST} times")
            return met, wrong
        time.sleep(BREATH)
        say(f"{sweep.on}: {sweep.type()}")
        while sweep.process.poll() is None:
            time.sleep(POLL)
            sweep.note()
            made += sweep.steps()
            if todo and made >= todo[0].steps:
                time.sleep(todo[0].pause)
                if happened := deliver(todo[0], sweep):
                    say(f"{sweep.on}: {KINDS[happened.kind]}: {', '.join(happened.runs)}")
                    if happened.unseen:
                        wrong.append(f"{sweep.on}: {happened.runs[0]}: stopped, not seen at work")
                    met.append(happened)
                    del todo[0]
                    made = 0
            if time.monotonic() > deadline:
                wrong.append(f"{sweep.on}: not done in {HOURS} hours; it said {sweep.said()}")
                return met, wrong
        killed = bool(met) and met[-1].kind == "launcher" and sweep.process.returncode == -9
        if "Traceback" in sweep.said() or not (killed or sweep.process.returncode in (0, 1)):
            wrong.append(f"{sweep.on}: ended with {sweep.process.returncode}: {sweep.said()}")
        elif sweep.process.returncode == 0 and not sweep.done():
            wrong.append(f"{sweep.on}: said that all is well: {sweep.said()}")
        say("\n".join(["it said", *sweep.said().splitlines()[-12:]]))
    return met, wrong


def say(line: str) -> None:
    """Tell what happens, and when."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


if __name__ == "__main__":
    try:
        with interruptible():
            sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: what it has left lies there")
