"""What is not given to OmegaConf is what OmegaConf would have made of it, to each value's type.

`as_they_stand` may leave any value to OmegaConf; one that it takes must be the same.
"""

from copy import deepcopy
from dataclasses import asdict
from typing import Any

import pytest

from benchmark.recipes import compose
from benchmark.recipes.schema import FREE, KEYS, SCHEMA, SECTIONS, as_they_stand
from benchmark.recipes.validation import converted

RUN = "quick/digits_motion/vit_digits/st_adapter"
OF_EACH_TYPE = [*{str(SCHEMA[key]): key for key in sorted(KEYS & SCHEMA.keys())}.values(), *FREE]
VALUES = [
    *(0, 1, 3, -2, 2**31 - 1, 2**31, 10**400, 1.0, 0.5, float("nan"), float("inf")),
    *(True, False, None, "", "sgd", "1", "1e-3", "true", "null", b"x", (1, 2), {1}),
    *("???", "${seed}", "a ${seed}", "\\${seed}", "$seed"),
    *([], [1], [1.5, 2], ["a", "b"], ["a", 1], [None], [True], [[1]], ["???"], ["${seed}"]),
    *({}, {"a": 1}, {1: 2}, {None: 1}, {"a": {1: [None, "x", {}]}}, {"a": [{"b": True}]}),
    *({"a": "${seed}"}, {"a": "???"}, {"a": ["???"]}, {"${seed}": 1}, {"a": {1.5: 2, True: 1}}),
]


def values() -> dict[str, Any]:
    return asdict(compose.load(RUN))


def put(into: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *sections, last = key.split(".")
    for each in sections:
        into = into[each]
    into[last] = value
    return into


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_a_value_that_is_taken_is_what_omegaconf_makes_of_it(value: Any) -> None:
    every, plain = values(), values()
    for key in OF_EACH_TYPE:
        alone = deepcopy(plain)
        put(alone, key, value)
        if as_they_stand(alone):
            put(every, key, value)
    assert repr(as_they_stand(every)) == repr(converted(every, []))


@pytest.mark.parametrize("protocol", compose.names("protocols"))
def test_committed_recipes_are_taken(protocol: str) -> None:
    folder = compose.RECIPES / "protocols" / protocol
    runs = sorted(folder.glob("*/*/*.yaml"), key=lambda file: file.stem)[:1]
    run = str(runs[0].relative_to(folder).with_suffix("")) if runs else RUN.partition("/")[2]
    found = asdict(compose.load(f"{protocol}/{run}", ["data.root=/videos"][: "digits" not in run]))
    assert repr(as_they_stand(found)) == repr(converted(found, []))


def test_what_lacks_a_key_or_has_one_more_is_not_taken() -> None:
    assert as_they_stand(values()) == compose.load(RUN)
    for key in (KEYS & SCHEMA.keys()) | SECTIONS:
        less = values()
        del put(less, key, None)[key.rpartition(".")[2]]
        assert as_they_stand(less) is None, key
        assert as_they_stand(less | {"lr": 1}) is None


def test_what_is_taken_is_a_copy() -> None:
    given = values()
    found = as_they_stand(given)
    assert found and found.method is not given["method"]
    assert found.optim.betas is not given["optim"]["betas"]
