"""Which parameters of a model weight decay spares, by their shape or by their names."""

from collections.abc import Sequence

from torch import nn

from benchmark.errors import UserError, nearest

VECTORS = "vectors"


def spared(name: str, parameter: nn.Parameter, no_decay: Sequence[str]) -> bool:
    """Return whether a parameter does not decay.

    Args:
        name: Of the parameter.
        parameter: It itself.
        no_decay: "vectors" are all parameters of one dimension (biases, norms), anything else is a
            part of the names of those it means, such as ".bias".
    """
    return any(parameter.ndim <= 1 if part == VECTORS else part in name for part in no_decay)


def demand_named(model: nn.Module, no_decay: Sequence[str]) -> None:
    """Check that every entry of `no_decay` means something in `model`.

    Raises:
        UserError: one is in no parameter's name.
    """
    names = [name for name, _ in model.named_parameters()]
    for part in no_decay:
        if part != VECTORS and not any(part in name for name in names):
            last = {piece for name in names for piece in name.split(".") if not piece.isdigit()}
            hint = nearest(part, {*last, VECTORS})
            raise UserError(f"optim.no_decay: {part!r} is in no parameter's name{hint}")
