"""Verbs that use a trained model: answers for videos, why, and a file that runs without us."""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.models import a_checkpoint
from benchmark.cli.verb import Verb
from benchmark.errors import UserError
from datamodules.files import demand_folder, demand_writable, display_path

if TYPE_CHECKING:
    from benchmark.inference.predict import Prediction


def predict_arguments(parser: ArgumentParser) -> None:
    """Add what `predict` takes."""
    a_checkpoint(parser)
    parser.add_argument(
        "videos", type=Path, nargs="+", metavar="VIDEO", help="files, or folders of them"
    )
    parser.add_argument("--json", action="store_true", help="for machines: an object per line")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes each; default 5")
    parser.add_argument(
        "--picture", type=Path, metavar="PLACE", help="the frames seen: a file, of many a folder"
    )


def predict(args: Namespace) -> int:
    """Say what a trained model sees in videos: the five most probable classes of each.

    benchmark predict runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt videos/ --json
    """
    from benchmark.inference.contact_sheet import contact_sheet
    from benchmark.inference.predict import predict, videos_in  # imports torch
    from benchmark.inference.trained_model import load_checkpoint
    from benchmark.training.quiet import quiet
    from datamodules.progress_bar import ProgressBar

    if args.top < 1:
        raise UserError(f"--top {args.top}: not a number above 0")
    words = [str(each) for each in args.videos] + args.overrides
    args.overrides = [each for each in words if "=" in each and not Path(each).exists()]
    videos = videos_in([Path(each) for each in words if each not in args.overrides])
    sheets = _sheets(args.picture, videos)
    quiet()
    trained = load_checkpoint(args.checkpoint, args.overrides)
    broken = 0
    with ProgressBar("predicting: videos", len(videos)) as told:
        for number, found in enumerate(predict(trained, videos)):
            told.advance(broken=found.broken is not None)
            if sheets and found.broken is None:
                contact_sheet(sheets[number], found, trained.classes)
            if args.json:
                print(json.dumps(_plain(found, trained.classes, args.top)))
            if found.broken is not None:
                broken += 1
                print(f"error: {found.broken}", file=sys.stderr)
            elif not args.json:
                print(_for_people(found, trained.classes, args.top))
    if broken and len(videos) > 1:
        print(f"{broken} of {len(videos)} videos are broken", file=sys.stderr)
    return 1 if broken else 0


def _sheets(place: Path | None, videos: list[str]) -> list[Path]:
    """Return where the picture of each video goes, all of which can be written there."""
    from benchmark.inference.picture import SUFFIXES, demand_picture

    if place is None:
        return []
    if place.suffix.lower() in SUFFIXES and not place.is_dir():
        if len(videos) > 1:
            raise UserError(f"--picture {place}: one file for {len(videos)} videos; name a folder")
        demand_picture(place)
        return [place]
    if place.suffix and not place.is_dir():
        demand_picture(place)
    demand_folder(place)
    width = len(str(len(videos)))  # names may be equal, numbers are not
    named = [f"{i:0{width}}_{Path(each).stem}.png" for i, each in enumerate(videos, start=1)]
    found = [place / (each if len(videos) > 1 else f"{Path(videos[0]).stem}.png") for each in named]
    demand_writable(found[0])
    return found


def _plain(found: "Prediction", classes: tuple[str, ...], top: int) -> dict[str, object]:
    if found.broken is not None:
        return {"video": found.video, "error": found.broken}
    best = [{"class": classes[i], "number": i, "probability": p} for i, p in found.best(top)]
    return {"video": found.video, "top": best}


def _for_people(found: "Prediction", classes: tuple[str, ...], top: int) -> str:
    rows = [f"  {100 * p:5.1f} %  {classes[i]}" for i, p in found.best(top)]
    return "\n".join([found.video, *rows])


VERBS = {
    "predict": Verb(predict, predict_arguments, overrides=True),
}
