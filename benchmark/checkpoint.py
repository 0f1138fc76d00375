"""Checkpoints hold what was trained, nothing else: megabytes, not gigabytes."""

from collections.abc import Mapping

from torch import Tensor, nn


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Return the trained parameters of `model`."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def restore(model: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Load `parameters`, which must be exactly those that train in `model`.

    Raises:
        ValueError: a parameter is missing, left over, or of another shape.
    """
    own = trained(model)
    if wrong := own.keys() ^ parameters.keys():
        raise ValueError(f"checkpoint and model disagree on {sorted(wrong)[:5]}")
    if wrong := {name for name, p in own.items() if p.shape != parameters[name].shape}:
        raise ValueError(f"checkpoint and model disagree on the shape of {sorted(wrong)[:5]}")
    model.load_state_dict(parameters, strict=False)
