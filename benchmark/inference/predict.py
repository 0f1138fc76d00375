"""Answers of a trained model for anyone's videos, each as its recipe tests a video."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import torch
from lightning import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.errors import UserError
from benchmark.inference.trained_model import TrainedModel
from benchmark.models.fixed_batches import in_fixed_batches
from benchmark.recipes.schema import Recipe
from datamodules.datasets.folder import VIDEOS
from datamodules.decoding.video import DecodeError, ReadError
from datamodules.loading.clips import AllViews
from datamodules.shards import paths

PICTURES = frozenset(".jpg .jpeg .png .bmp .webp".split())  # frames, of which a folder is a video
FEW = 4  # videos that are not worth a process of their own


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a video.

    Attributes:
        video: Its path.
        probabilities: (K,) float32, the softmax averaged over the views; None: it is broken.
        views: (V, C, T, H, W) uint8, what the model saw; None: likewise.
        broken: Why, in one line; None: it is not.
    """

    video: str
    probabilities: Tensor | None = None
    views: Tensor | None = None
    broken: str | None = None

    def best(self, count: int = 5) -> list[tuple[int, float]]:
        """Return the `count` most probable classes and their probabilities, best first."""
        if self.probabilities is None:
            return []
        p, places = self.probabilities.topk(min(count, len(self.probabilities)))
        return list(zip(places.tolist(), p.tolist(), strict=True))


def videos_in(places: Sequence[Path]) -> list[str]:
    """Return the videos that files and folders stand for, folders in the order of the alphabet.

    A file is one, whatever its name; a folder of pictures is one, too. Of other folders all files
    below whose name ends as a video's does. What was packed into shards is named as before.

    Raises:
        UserError: A place is not there, or a folder holds no video.
    """
    found: list[str] = []
    for place in places:
        if not is_there(place):
            raise UserError(f"no video {place}")
        own = list(_below(place)) if paths.is_folder(place) else [str(place)]
        if not own:
            raise UserError(f"{place}: there is no video in it ({', '.join(sorted(VIDEOS))})")
        found += own
    return found


def is_there(place: str | Path) -> bool:
    """Return whether there is such a file or folder, packed into shards or not.

    Raises:
        UserError: The shards around it are being packed, or damaged.
    """
    try:
        return paths.exists(place)
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}") from None


def _below(place: Path) -> Iterator[str]:
    """Yield a folder itself where it holds the frames of a video, else the videos below it."""
    try:
        entries = paths.scan(place)
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}") from None
    shown = [(place / name, is_folder) for name, is_folder in entries if not name.startswith(".")]
    files = [each for each, is_folder in shown if not is_folder]
    if files and all(each.suffix.lower() in PICTURES for each in files):
        yield str(place)
        return
    for each, is_folder in shown:
        if is_folder:
            yield from _below(each)
        elif each.suffix.lower() in VIDEOS:
            yield str(each)


def predict(
    trained: TrainedModel, videos: Sequence[str], advance: Callable[[bool], None] | None = None
) -> Iterator[Prediction]:
    """Yield what a model says of videos, in their order; a broken one says so and stops nothing.

    A forward pass has the recipe's `test.batch` clips, on its device and in its precision, so that
    a test video's scores are those of its run, to the bit on one machine.

    Args:
        trained: The model.
        videos: Files, or folders of frames.
        advance: Told of every video, whether it was broken.
    """
    recipe = trained.recipe
    fabric = device(recipe)
    model = fabric.setup_module(trained.pixels()).eval()
    views = recipe.test.clips * recipe.test.crops
    loader = DataLoader(
        _Readable(trained.all_views(videos)),
        batch_size=max(1, recipe.test.batch // views),
        num_workers=_workers(recipe, len(videos)),
        collate_fn=list,
    )
    for batch in loader:
        seen = [each["video"] for each in batch if "video" in each]
        rows: list[Tensor] = []
        if seen:
            clips = fabric.to_device(torch.cat(seen))
            logits = in_fixed_batches(model, clips, recipe.test.batch)
            p = logits.double().softmax(dim=-1).unflatten(0, (len(seen), views))
            rows = list(p.mean(dim=1).float().cpu())
        scored = iter(rows)
        for each in batch:
            video = videos[each["index"]]
            if "broken" in each:
                yield Prediction(video, broken=each["broken"])
            elif not (row := next(scored)).isfinite().all():
                yield Prediction(video, broken="the model's scores are no numbers")
            else:
                yield Prediction(video, row, each["video"])
            if advance is not None:
                advance("broken" in each)


def device(recipe: Recipe) -> Fabric:
    """Return the one device that a recipe computes on, in its precision.

    Raises:
        UserError: There is none, or it has no such precision.
    """
    how = recipe.trainer
    try:
        return Fabric(accelerator=how.accelerator, devices=1, precision=how.precision)  # type: ignore[arg-type]
    except (RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise UserError(
            f"trainer.accelerator={how.accelerator}, trainer.precision={how.precision}: {said}"
        ) from error


class _Readable(Dataset[dict[str, Any]]):
    """Views of videos; of one that cannot be read, why."""

    def __init__(self, views: AllViews) -> None:
        self.views = views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            return {"index": index, "video": self.views[index]["video"]}
        except (DecodeError, ReadError) as error:
            return {"index": index, "broken": str(error)}


def _workers(recipe: Recipe, videos: int) -> int:
    """Return how many processes decode: none for a few videos, at most one per core."""
    return min(recipe.workers, videos // FEW, joblib.cpu_count()) if videos > 2 * FEW else 0
