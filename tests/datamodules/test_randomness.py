"""Streams of random numbers: as they always were, and no two of them alike."""

import ast
import itertools
from pathlib import Path

import numpy as np
import pytest

import datamodules
from datamodules.datasets import _digits
from datamodules.randomness import LENGTHS, Stream, generator

NUMBERS = (0, 1, 2, 3, 5, 100, 101, 102, 103, 65_536, 2**31, 2**32 - 1)
Pool = tuple[int, ...]


def pool(rng: np.random.Generator) -> Pool:
    """Return what numpy makes of a key: all that its random numbers depend on."""
    return tuple(rng.bit_generator.seed_seq.pool.tolist())  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def pools() -> dict[Pool, tuple[int, ...]]:
    found: dict[Pool, tuple[int, ...]] = {}
    for stream in Stream:
        for key in itertools.product(NUMBERS, repeat=1 + LENGTHS[stream]):
            assert found.setdefault(pool(generator(stream, *key)), (stream, *key)) == (stream, *key)
    return found


def test_no_two_keys_of_any_streams_are_alike(pools: dict[Pool, tuple[int, ...]]):
    assert len(pools) == sum(len(NUMBERS) ** (1 + LENGTHS[stream]) for stream in Stream)


def test_numpy_takes_short_keys_and_large_numbers_for_others():
    one, other, long = ([0, 5], [0, 5, 0, 0], [0, 5 + 2**32])
    first = [np.random.default_rng(key).random() for key in (one, other, long, [0, 5, 1])]
    assert first[0] == first[1] and first[2] == first[3]


def test_the_pictures_of_the_digits_share_keys_with_the_mixing_of_clip_0_only(pools):
    drawn = itertools.product(_digits.IMAGES, NUMBERS)
    shared = [pools.get(pool(_digits.randomness(*each))) for each in drawn]
    assert shared == [(Stream.MIX, s, n, 0) for s, n in itertools.product(range(3), NUMBERS)]


@pytest.mark.parametrize("seed", [0, 1, 12_345])
def test_clips_their_order_and_their_mixing_are_what_they_always_were(seed: int):
    for epoch, index in itertools.product((0, 1, 30), (0, 7, 240_000)):
        for stream, number in ((Stream.SAMPLE, 0), (Stream.MIX, 2)):
            old = np.random.default_rng([number, seed, epoch, index])
            assert generator(stream, seed, epoch, index).random() == old.random()
        old = np.random.default_rng([1, seed, epoch])
        assert np.array_equal(
            generator(Stream.ORDER, seed, epoch).permutation(9), old.permutation(9)
        )


@pytest.mark.parametrize("wrong", [(0,), (0, 1, 2, 3), (-1, 0, 0), (2**32, 0, 0), (0, 0, 2**32)])
def test_keys_that_numpy_would_take_for_others_are_refused(wrong: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"SAMPLE has 2 numbers|within 0 to"):
        generator(Stream.SAMPLE, *wrong)


@pytest.mark.slow
def test_nothing_else_makes_random_numbers_for_a_dataset():
    root = Path(datamodules.__file__).parent
    found = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "default_rng":
                found.add(str(file.relative_to(root)))
    # the digits' pictures; what is timed, or tried for its options
    assert found == {
        *("randomness.py", "datasets/_digits.py", "speed/decoding.py", "loading/clips.py"),
    }
