"""What autograd keeps of a forward pass for the backward one, counted."""

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


class SavedForBackward:
    """Count what autograd keeps of a forward pass for the backward one, as a context around it.

    A storage that several operations keep counts once. Parameters and buffers of the model do not
    count: they take their memory anyway. On the meta device nothing is computed, and the count is
    the same but for attention, whose kernels keep other things.

    Args:
        model: what passes forward.

    Attributes:
        bytes: kept, once the context is left.
    """

    def __init__(self, model: nn.Module) -> None:
        self.bytes = 0
        self._own = {_key(each) for each in (*model.parameters(), *model.buffers())}
        self._kept: dict[int, torch.UntypedStorage] = {}  # held: no address is used twice meanwhile
        self._hooks = saved_tensors_hooks(self._keep, lambda tensor: tensor)

    def __enter__(self) -> "SavedForBackward":
        """Start to count."""
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop, and add up."""
        self._hooks.__exit__(*error)
        self.bytes = sum(each.nbytes() for each in self._kept.values())
        self._kept = {}

    def _keep(self, tensor: Tensor) -> Tensor:
        if (key := _key(tensor)) not in self._own:
            self._kept[key] = tensor.untyped_storage()
        return tensor


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # unlike its address no 0 on the meta device
