"""What a method claims of itself, read from its file without importing it; the contract holds it.

A method's file says in a literal called `FACTS`

    sees_time            whether it can tell a clip from the same clip in another order
    starts_frozen        whether it begins as the frozen model, seen on a clip that stands still
    merges               whether what it adds folds into the frozen layers
    backpropagates       whether gradients pass a block of the ViT; where not, all run without any
    needs_class_token    whether it refuses a ViT that has no class token

each as true or false, or as {option: [values]}: true where a recipe gives that option one of these
values, or a list that holds one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmark import lookup
from benchmark.errors import UserError


class MethodFacts(NamedTuple):
    """What a recipe's method does, whatever its backbone."""

    sees_time: bool
    starts_frozen: bool
    merges: bool
    backpropagates: bool
    needs_class_token: bool


def method_facts(method: Mapping[str, Any]) -> MethodFacts:
    """Return the facts of a recipe's `method` section: a name and options.

    Raises:
        UserError: the method's file does not say one of them.
    """
    name = method["name"]
    said = lookup.fact("benchmark.methods", name, "FACTS") or {}
    file = lookup.own_file("benchmark.methods", name) or f"benchmark/methods/{name}.py"
    claims = said.values() if isinstance(said, Mapping) else [said]
    if wrong := [each for each in claims if not isinstance(each, bool | Mapping)]:
        raise UserError(f"{file}: FACTS say {wrong[0]!r}, not true, false or {{option: [values]}}")
    if set(said) != set(MethodFacts._fields):
        raise UserError(
            f"{file} says FACTS of {', '.join(sorted(said)) or 'nothing'}; "
            f"there are {', '.join(MethodFacts._fields)}"
        )
    return MethodFacts(**{fact: _holds(claim, method) for fact, claim in said.items()})


def _holds(claim: bool | Mapping[str, Sequence[Any]], method: Mapping[str, Any]) -> bool:
    if isinstance(claim, bool):
        return claim
    return all(_given(method.get(option), values) for option, values in claim.items())


def _given(value: Any, values: Sequence[Any]) -> bool:
    held = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return any(each in values for each in held)
