"""Verbs that use a trained model: answers for videos, why, and a file that runs without us."""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.models import a_checkpoint
from benchmark.cli.verb import Verb, output_file
from benchmark.errors import UserError, nearest
from datamodules.files import demand_folder, demand_writable, display_path

if TYPE_CHECKING:
    from benchmark.inference.predict import Prediction


def predict_arguments(parser: ArgumentParser) -> None:
    """Add what `predict` takes."""
    a_checkpoint(parser)
    parser.add_argument(
        "videos", type=Path, nargs="+", metavar="VIDEO", help="files, or folders of them"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, an object per line")
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="classes of a video; default 5"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="PLACE",
        help="draw the frames seen: a file, or for many a folder",
    )


def predict(args: Namespace) -> int:
    """Predict the classes of videos: the five most probable of each.

    benchmark predict runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt videos/ --json
    """
    from benchmark.inference.contact_sheet import contact_sheet
    from benchmark.inference.predict import is_there, predict, videos_in  # imports torch
    from benchmark.inference.trained_model import load_checkpoint
    from benchmark.terminal import quiet
    from datamodules.progress_bar import ProgressBar

    if args.top < 1:
        raise UserError(f"--top {args.top}: not a number above 0")
    words = [str(each) for each in args.videos] + args.overrides
    args.overrides = [each for each in words if "=" in each and not is_there(each)]
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


def export_arguments(parser: ArgumentParser) -> None:
    """Add what `export` takes."""
    a_checkpoint(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", required=True, help="ends in .pt2 or .onnx"
    )


def export(args: Namespace) -> None:
    """Write a model as one file that runs without this suite: .pt2 (torch.export) or .onnx.

    benchmark export runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt -o aim.onnx
    """
    from benchmark.inference import model_card
    from benchmark.inference.export import SUFFIXES, demand_exportable, export  # imports torch
    from benchmark.inference.trained_model import load_checkpoint
    from benchmark.terminal import quiet

    output_file(
        args.output,
        args.checkpoint,
        replaces=lambda there: bool(there.suffix == args.output.suffix),
        suffixes=SUFFIXES,
    )
    demand_exportable(args.output)
    model_card.demand_place(args.output)
    quiet()
    trained = load_checkpoint(args.checkpoint, args.overrides)
    found = export(trained, args.output)
    recipe = trained.recipe
    model_card.write(args.output, recipe, trained.classes, model_card.record_of(recipe))
    merged = ", merged" if trained.model.mergeable else ""
    print(
        f"{args.output}: {args.output.stat().st_size / 1e6:,.1f} MB{merged}; its logits are the "
        f"model's to {found['difference']:.0e} of the largest"
    )


def explain_arguments(parser: ArgumentParser) -> None:
    """Add what `explain` takes."""
    a_checkpoint(parser)
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a file, or a folder of frames")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PICTURE", required=True, help="the file to draw"
    )
    parser.add_argument(
        "--class", dest="answer", metavar="NAME", help="explain this class, not the predicted one"
    )


def explain(args: Namespace) -> None:
    """Explain a prediction: maps, over space and time, drawn on the frames of a video.

    benchmark explain runs/quick/digits_motion/vit_digits/aim/seed0/last.ckpt video.mp4 -o why.png
    """
    from benchmark.inference import explanation_picture
    from benchmark.inference.explain import explain  # imports torch
    from benchmark.inference.picture import demand_picture
    from benchmark.inference.predict import videos_in
    from benchmark.inference.trained_model import load_checkpoint
    from benchmark.terminal import quiet

    demand_picture(args.output)
    videos = videos_in([args.video])
    if len(videos) > 1:
        raise UserError(f"{args.video}: holds {len(videos)} videos; name one")
    quiet()
    trained = load_checkpoint(args.checkpoint, args.overrides)
    answer = None
    if args.answer is not None:
        if args.answer not in trained.classes:
            close = nearest(args.answer, trained.classes)
            raise UserError(f"--class: the model knows no {args.answer!r}{close}")
        answer = trained.classes.index(args.answer)
    views = trained.views(videos[0])
    test = trained.recipe.test
    middle = test.clips // 2 * test.crops + test.crops // 2
    found = explain(trained, views[middle], answer)
    about = f"{trained.classes[found.answer]}, {100 * found.probability:.1f} %"
    if len(views) > 1:
        about += f" (view {middle + 1} of {len(views)})"
    explanation_picture.draw(args.output, found, Path(videos[0]).name, about)
    print(f"{videos[0]}: {about}\nsee {display_path(args.output)}")


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
    "explain": Verb(explain, explain_arguments, overrides=True),
    "export": Verb(export, export_arguments, overrides=True),
}
