"""A checkpoint examined: some passes over its test videos, and what is written of them."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import UserError, nearest
from benchmark.models.checkpoint import Checkpoint
from benchmark.models.weights import fingerprint
from benchmark.recipes import build, compose
from benchmark.recipes.schema import Recipe
from benchmark.results import examination, record
from benchmark.results.examination import Examination
from benchmark.training import evaluation, pretrain
from benchmark.training.evaluation import Scores
from benchmark.training.examination.calibration import calibration
from benchmark.training.examination.class_gains import gains, probe_answers
from benchmark.training.examination.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from benchmark.training.examination.drift import StillFeatures
from benchmark.training.examination.frame_order import one_repeated, reversed_frames, shuffled
from benchmark.training.examination.still_head import still_head
from benchmark.training.provenance import code_state
from benchmark.training.task import Classification
from benchmark.training.train import evaluate, restore, testing_trainer
from datamodules.dataset_info import DatasetInfo, Split
from datamodules.files import demand_writable
from datamodules.loading.clips import Alter, sampling
from datamodules.progress_bar import ProgressBar
from datamodules.randomness import Stream, generator

CLIPS = 4  # per video, at most, of `views`


@dataclass
class Subject:
    """A model under examination, and the videos it is shown.

    Attributes:
        recipe: What it is tested as.
        data: The dataset, of its evaluation split the videos that are watched.
        rows: (N,) which videos of the whole split these are.
        sha256: Of the whole split.
        task: The model.
        clips: Per video, at most, where the number varies.
        seed: Of all that is random.
        told: How many clips have been watched.
    """

    recipe: Recipe
    data: DatasetInfo
    rows: NDArray[np.int64]
    sha256: str
    task: Classification
    clips: int
    seed: int
    told: ProgressBar
    _plain: dict[int, Scores] = field(default_factory=dict)

    def plain(self, clips: int | None = None) -> Scores:
        """Return the scores of the videos as they are, of so many clips; watched once."""
        clips = clips or self.recipe.test.clips
        if clips not in self._plain:
            test = replace(self.recipe.test, clips=clips)
            self._plain[clips] = self._scores(replace(self.recipe, test=test))
        return self._plain[clips]

    def altered(self, alter: Alter) -> float:
        """Return the top-1 of the videos, altered."""
        return top1(self._scores(self.recipe, alter))

    def drift(self) -> dict[str, Any]:
        """Return how far the features of stills are from those of the frozen backbone.

        "stills" is what a head on stills gets right before and after adaptation; None where the
        backbone's own task is not at hand.
        """
        frozen, _ = build.model(
            replace(self.recipe, method={"name": "linear_probe"}), self.task.model.head.out_features
        )
        compared = StillFeatures(self.task.model, frozen)
        datamodule = build.datamodule(self.recipe, self.data, one_repeated)
        testing_trainer(self.recipe, self._tell(self.recipe)).test(
            compared, datamodule, verbose=False
        )
        own, size = self.recipe.backbone, self.recipe.clip.size
        head = None
        if own.weights == compose.load(pretrain.RECIPE).backbone.weights:
            head = still_head(
                self.task.model.eval(), frozen.eval(), size=size, mean=own.mean, std=own.std
            )
        return compared.drift() | {"stills": head}

    def _scores(self, recipe: Recipe, alter: Alter | None = None) -> Scores:
        datamodule = build.datamodule(recipe, self.data, alter)
        return evaluate(testing_trainer(recipe, self._tell(recipe)), self.task, datamodule)

    def _tell(self, recipe: Recipe) -> Callable[[int], None]:
        views = recipe.test.clips * recipe.test.crops
        return lambda videos: self.told.advance(videos * views)


def top1(scores: Scores) -> float:
    """Return the share of right first answers."""
    return evaluation.metrics(scores)["top1"]


def of_time(subject: Subject) -> dict[str, Any]:
    """Return the top-1 when the order of frames is destroyed, and what is known of it."""
    return {
        "shuffled": subject.altered(partial(shuffled, seed=subject.seed)),
        "reversed": subject.altered(reversed_frames),
        "one_repeated": subject.altered(one_repeated),
        "order_blind_ceiling": subject.data.order_blind_ceiling,
    }


def of_views(subject: Subject) -> dict[str, Any]:
    """Return the top-1 of one clip per video, of two, and so on."""
    numbers = clip_numbers(subject.recipe, subject.clips)
    found = [{"clips": each, "top1": top1(subject.plain(each))} for each in numbers]
    return {"crops": subject.recipe.test.crops, "clips": found}


def of_corruptions(subject: Subject) -> dict[str, Any]:
    """Return the top-1 under every corruption, by severity."""

    def found(name: str, severity: int) -> float:
        return subject.altered(partial(corrupt, name=name, severity=severity, seed=subject.seed))

    return {name: {str(each): found(name, each) for each in SEVERITIES} for name in CORRUPTIONS}


def of_calibration(subject: Subject) -> dict[str, Any]:
    """Return whether the model is as sure as it is right."""
    return dict(calibration(subject.plain()))


def of_classes(subject: Subject) -> dict[str, Any]:
    """Return the gains per class over the linear probe of the same protocol and seed."""
    split = subject.data.splits[subject.data.evaluation_split]
    probe = probe_answers(subject.recipe.name, subject.data.evaluation_split, subject.sha256)
    right = evaluation.answers(subject.plain()).top1
    classes = gains(right, probe[subject.rows], split.labels, subject.data.classes)
    return {"probe_top1": float(probe[subject.rows].mean()), "classes": classes}


def of_drift(subject: Subject) -> dict[str, Any]:
    """Return what the image model forgot."""
    return dict(subject.drift())


class Way(NamedTuple):
    """A way to look at a model, and the passes over the videos that it takes besides the plain."""

    look: Callable[[Subject], dict[str, Any]]
    passes: int


WAYS = {  # those of `examination.TESTS`; of `views` the clips are counted apart
    "time": Way(of_time, 3),
    "views": Way(of_views, 0),
    "corruptions": Way(of_corruptions, len(CORRUPTIONS) * len(SEVERITIES)),
    "calibration": Way(of_calibration, 0),
    "classes": Way(of_classes, 0),
    "drift": Way(of_drift, 1),
}


def examine(
    saved: Checkpoint,
    recipe: Recipe,
    *,
    only: Collection[str] = (),
    videos: int | None = None,
    clips: int = CLIPS,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> Examination:
    """Examine a checkpoint, write what is found beside its run's record, and return that.

    Args:
        saved: The checkpoint.
        recipe: What it is tested as; its name says where the record lies.
        only: Names of `examination.TESTS`. None of them: all.
        videos: About how many are watched: whole clusters, drawn at random. None: all.
        clips: Per video, at most, where accuracy is told against their number.
        seed: Of what is drawn at random, the same for all methods that are to be compared.
        overrides: Of the recipe that the checkpoint holds, as typed: they are noted.

    Raises:
        UserError: there is no such test, the checkpoint is broken, another model's or of other
            data, or nothing can be written.
    """
    names = demand_known(only)
    file = record.path(recipe.name)
    demand_writable(examination.path(file))
    code = code_state()
    data = build.dataset(recipe)
    whole = data.splits[data.evaluation_split]
    rows = np.arange(len(whole)) if videos is None else draw(whole, videos, seed)
    data = replace(data, splits={**data.splits, data.evaluation_split: whole.select(rows)})
    task = restore(saved, recipe, build.datamodule(recipe, data))
    with ProgressBar("examining: clips", to_watch(recipe, names, clips, len(rows))) as told:
        subject = Subject(recipe, data, rows, whole.sha256(), task, clips, seed, told)
        try:
            plain = _timed(lambda: {"top1": top1(subject.plain())}, len(rows))
            tests = {name: _looked(WAYS[name].look, subject) for name in names}
        except FloatingPointError as error:
            raise UserError(
                f"{error}: the checkpoint is broken, or needs a wider precision"
            ) from None
    return examination.write(
        file,
        Examination(
            name=recipe.name,
            checkpoint=fingerprint(saved.parameters),
            overrides=tuple(overrides),
            commit=code[0],
            dirty=code[1],
            split=data.evaluation_split,
            sha256=subject.sha256,
            videos=len(rows),
            of=len(whole),
            seed=seed,
            plain=plain,
            tests=tests,
        ),
    )


def demand_known(only: Collection[str]) -> list[str]:
    """Return the tests of these names in their order, all of them if there are none.

    Raises:
        UserError: there is no such test.
    """
    for name in only:
        if name not in WAYS:
            raise UserError(f"no test {name!r}{nearest(name, WAYS)}")
    return [name for name in WAYS if not only or name in only]


def draw(split: Split, videos: int, seed: int) -> NDArray[np.int64]:
    """Return which videos of a split are watched, ascending: at least so many, whole clusters.

    Raises:
        UserError: that is no number of videos.
    """
    if videos < 1:
        raise UserError(f"{videos} videos: not a number above 0")
    sources, sizes = np.unique(split.clusters, return_counts=True)
    order = generator(Stream.EXAMINATION, seed, len(split)).permutation(len(sources))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), videos)) + 1
    return np.flatnonzero(np.isin(split.clusters, sources[order[:enough]]))


def clip_numbers(recipe: Recipe, most: int) -> list[int]:
    """Return 1, 2, ... up to as many clips per video as the recipe's sampling can choose."""
    clip = recipe.clip
    choose = sampling(
        recipe.test.sampling or clip.sampling,
        frames=clip.frames,
        interval=clip.interval,
        seconds=clip.seconds,
    )
    for clips in range(1, most + 1):
        try:
            choose(np.zeros(1), clips=clips, rng=None)
        except UserError:  # some papers' sampling has one test clip
            return list(range(1, clips))
    return list(range(1, most + 1))


def to_watch(recipe: Recipe, names: Collection[str], clips: int, videos: int) -> int:
    """Return how many clips an examination watches in all, crops counted."""
    own = recipe.test.clips
    plain = {own, *(clip_numbers(recipe, clips) if "views" in names else ())}
    return videos * recipe.test.crops * (sum(plain) + own * sum(WAYS[n].passes for n in names))


def _looked(look: Callable[[Subject], dict[str, Any]], subject: Subject) -> dict[str, Any]:
    """Return what a test finds, or why it is left out."""
    try:
        return _timed(partial(look, subject), len(subject.rows))
    except UserError as error:
        return {"left_out": str(error)}


def _timed(look: Callable[[], dict[str, Any]], videos: int) -> dict[str, Any]:
    """Return what is found, of how many videos and in how many seconds."""
    start = time.perf_counter()
    found = look()
    return {"videos": videos, "seconds": round(time.perf_counter() - start, 2), **found}
