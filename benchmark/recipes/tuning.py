"""Tuning: what a protocol lets be chosen for each method, and which values are tried.

A protocol that tunes has `tuning` in its file. All that it says holds for every method; a method's
own file may add to `tuning.space`, not to the number of trials:

    tuning:
      trials: 6           # of each method, whatever its space
      seeds: [0]          # a trial is run with each of them
      epochs: 0.34        # share of train.epochs
      holdout: 0.1        # share of the training split that is scored
      space:
        optim.lr: {low: 1e-3, high: 3e-2}   # a range, evenly by its logarithm
        train.head_dropout: [0, 0.5]        # or all that there is

What was chosen stands in `protocols/P/D/B/M.yaml`, with `tuned`, which says on what.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.errors import UserError
from benchmark.recipes.name import SCRATCH
from benchmark.recipes.schema import Recipe, Tuning
from datamodules.randomness import Stream, generator

SCALES = ("log", "linear")
DIGITS = 3  # of a tried value that count
OWN = ("method.", "tuned.", "tuning.space.")  # what begins the keys of a method's own
Layer = tuple[str, Mapping[str, Any]]  # where it stands, and what it sets
Settings = dict[str, Any]  # a key of the recipe -> the value tried
Widened = Mapping[str, Sequence[int]]  # a key with a range -> values added below it, and above it


def settings(tuning: Tuning, widened: Widened | None = None) -> list[Settings]:
    """Return what is tried, the same number for every method.

    A Latin hypercube (McKay et al., 1979): of every key, `trials` values spread evenly over what it
    may be, each tried once. Those of the first key come in order, those of the others in a random
    one, the same for every method. Of one key alone that is a grid.

    Args:
        tuning: Of a recipe.
        widened: How far ranges were widened. A value beyond a range keeps the distance of those
            within, and goes with values of the other keys that are drawn at random.
    """
    count, keys = tuning.trials, list(tuning.space)
    tried = {key: _spread(tuning.space[key], count) for key in keys}
    for number, key in enumerate(keys[1:], 1):
        order = generator(Stream.TUNING, 0, number).permutation(count)
        tried[key] = [tried[key][i] for i in order]
    found = [{key: tried[key][i] for key in keys} for i in range(count)]
    for key, (below, above) in (widened or {}).items():
        for place in (*range(-1, -below - 1, -1), *range(count, count + above)):
            rng = generator(Stream.TUNING, place % 2**32, keys.index(key))
            others = {each: tried[each][int(rng.integers(count))] for each in keys}
            found.append({**others, key: _within(tuning.space[key], place, count)})
    return found


def ranges(tuning: Tuning) -> list[str]:
    """Return the keys whose space is a range, which can be widened."""
    return [key for key, space in tuning.space.items() if isinstance(space, Mapping)]


def _spread(space: Any, count: int) -> list[Any]:
    if isinstance(space, Mapping):
        return [_within(space, place, count) for place in range(count)]
    return [space[place * len(space) // count] for place in range(count)]


def _within(space: Mapping[str, Any], place: int, count: int) -> float:
    """Return value number `place` of `count` in a range, beyond it below 0 and from `count` on."""
    low, high, share = float(space["low"]), float(space["high"]), place / max(1, count - 1)
    if space.get("scale", "log") == "log":
        value = low * (high / low) ** share
    else:
        value = low + (high - low) * share
    return float(f"{value:.{DIGITS}g}")


def trial_overrides(recipe: Recipe, tried: Settings) -> dict[str, Any]:
    """Return what a trial changes of a run: it scores the holdout, and trains for a shorter time.

    The warm-up is shortened alike.
    """
    epochs = max(1, round(recipe.train.epochs * recipe.tuning.epochs))
    warmup = recipe.optim.warmup * epochs / recipe.train.epochs
    return {
        "train.holdout": recipe.tuning.holdout,
        "train.epochs": epochs,
        "optim.warmup": float(f"{warmup:.{DIGITS}g}"),
        **tried,
    }


def is_tuned(recipe: Recipe) -> bool:
    """Return whether a recipe has what its protocol wants tuned, or need not have it."""
    own_way = recipe.train.holdout > 0 or recipe.name.startswith(f"{SCRATCH}/")  # no result
    return not recipe.tuning.trials or bool(recipe.tuned) or recipe.untuned or own_way


def demand_tuned(recipes: Sequence[Recipe], sweep: str | None = None) -> None:
    """Check that what the protocols of `recipes` want tuned is.

    Args:
        recipes: Of what is to be run.
        sweep: The sweep that they are of, if they are.

    Raises:
        UserError: something is not; it says what to type.
    """
    if wanting := [each.name for each in recipes if not is_tuned(each)]:
        what = wanting[0].rpartition("/")[0].partition(",")[0]
        many = f"{len(wanting)} of {len(recipes)} runs are not tuned, such as {what}"
        raise UserError(
            f"{many if len(recipes) > 1 else f'{what} is not tuned'}; type: benchmark tune "
            f"{sweep or what} (or untuned=true, which the board marks)"
        )


def demand_space(place: str, space: Any) -> None:
    """Check that what there is to try of a key can be.

    Args:
        place: Where it stands.
        space: A list of values, or a range.

    Raises:
        UserError: it is neither.
    """

    def demand(fine: bool, what: str) -> None:
        if not fine:
            raise UserError(f"{place} is {space!r}, not {what}")

    if isinstance(space, list) and space:
        return
    known, wanted = {"low", "high", "scale"}, "{low: L, high: H, scale: log or linear}"
    demand(isinstance(space, Mapping), f"values [A, B], or a range {wanted}")
    demand({"low", "high"} <= space.keys() <= known, f"a range {wanted}")
    low, high, scale = space["low"], space["high"], space.get("scale", SCALES[0])
    numbers = all(type(each) in (int, float) for each in (low, high))
    demand(scale in SCALES and numbers, f"a range {wanted} of numbers")
    demand(low < high, "a range whose low is below its high")
    demand(scale != "log" or low > 0, "above 0, as a scale that is log needs")


def demand_fair(shared: Sequence[Layer], own: Sequence[Layer]) -> None:
    """Check that in a protocol that tunes a method's files set only what is the method's own.

    All else, such as frames, epochs, augmentation and views, is the same for every method.

    Args:
        shared: The files that other methods have, too.
        own: The method's own in the protocol.

    Raises:
        UserError: one of these sets something else.
    """
    tunings = [layer.get("tuning") for _, layer in (*shared, *own)]
    found = [each for each in tunings if isinstance(each, Mapping)]
    if not any(each.get("trials") for each in found):
        return
    spaces = [each.get("space") for each in found]
    tried = {key for each in spaces if isinstance(each, Mapping) for key in each}
    for source, layer in own:
        for key in _dotted(layer):
            if key not in tried and not f"{key}.".startswith(OWN):
                raise UserError(
                    f"{source}: sets {key!r}, which is the same for all methods where a protocol "
                    "tunes; a method's own are the keys of method and of tuning.space"
                )


def _dotted(layer: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys that a layer sets."""
    for key, value in layer.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
