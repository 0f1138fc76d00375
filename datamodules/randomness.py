"""Where random numbers come from: a stream for each use, and no two share a key.

numpy pads a short key with zeros and spreads a large number over several words, so that
`default_rng([0, 5])` is `default_rng([0, 5, 0, 0])`. Here a key starts with its stream, has as many
numbers as its stream says, and each of them is one word: different keys are different numbers.

Two older uses draw elsewhere, and are left alone for what they have made: the pictures of the
digits (`datasets/_digits.py`), whose keys are those of MIX for clip 0 and seeds 0 to 2, and the
pretraining of their backbone, whose one key is that of SAMPLE for clip 0, seed 0 and epoch 0.
"""

import hashlib
from enum import IntEnum

import numpy as np

WORD = 2**32  # seeds and the like are below it


class Stream(IntEnum):
    """What random numbers are for, and what their key holds after the seed.

    New ones count on: older keys start with a small number, such as a version of the digits.
    """

    SAMPLE = 0  # all of a training clip: epoch, index
    ORDER = 1  # the order of training clips: epoch
    MIX = 2  # how two clips are mixed: epoch, index of the first
    HOLDOUT = 101  # which videos are held out: how many there are
    WEIGHTS = 103  # of a backbone that has none (`backbone.weights=random`)
    EXAMINATION = 104  # how a test video is altered to examine a model: index
    TUNING = 110  # which values are tried together: number of the key


LENGTHS = {
    Stream.SAMPLE: 2,
    Stream.ORDER: 1,
    Stream.MIX: 2,
    Stream.HOLDOUT: 1,
    Stream.WEIGHTS: 0,
    Stream.EXAMINATION: 1,
    Stream.TUNING: 1,
}


def generator(stream: Stream, seed: int, *key: int) -> np.random.Generator:
    """Return the random numbers of a use, a function of the arguments alone.

    Args:
        stream: The use.
        seed: Of the run, or of the choice.
        key: What the numbers are of, as `stream` says.

    Raises:
        ValueError: A number is not within 0 to 2^32 - 1, or there are more or fewer than it says.
    """
    if len(key) != LENGTHS[stream]:
        raise ValueError(f"a key of {stream.name} has {LENGTHS[stream]} numbers, not {len(key)}")
    words = [int(stream), int(seed), *map(int, key)]
    if not all(0 <= word < WORD for word in words):
        raise ValueError(f"seed {seed} and key {key} must be within 0 to {WORD - 1}")
    return np.random.default_rng(words)


def place(seed: int, name: str) -> int:
    """Return the place of a name in a random order of all names there could be, below 2^64.

    It is a function of the two alone: names that are added or left out move no other one.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:8], "big")
