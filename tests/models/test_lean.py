"""What is saved for backward: less where a norm or an activation can be computed again."""

import pytest
import timm
import torch
from tiny import FRAMES, METHODS, SIZE, construct
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.cost.plain import plain
from benchmark.methods import adapt
from benchmark.models.activations import QuickGELU
from benchmark.models.lean import lean
from benchmark.models.video_vit import VideoViT

# Share of the bytes that a step of the papers' form saves in ViT-B/16 with CLIP's QuickGELU.
MOST = {
    "st_adapter": 0.75,
    "st_adapter_both": 0.75,
    "zeroi2v": 0.75,
    "full": 0.75,
    "full_divided": 0.75,
    "partial": 0.75,
    "prompt_tuning": 0.75,
    "aim": 0.76,
}


class Held(TorchDispatchMode):
    """Every storage made in the block, to see which of them is still there after it."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = func(*args, **(kwargs or {}))
        for each in torch.utils._pytree.tree_leaves(found):
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                self.made[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        return found

    def bytes(self, *there: Tensor) -> int:
        """Return how much was made, but for views of what was there before."""
        old = {tensor.untyped_storage()._cdata for tensor in there}
        made = {key: value for key, value in self.made.items() if key not in old}
        return sum(size for storage, size in made.values() if not storage.expired())


def saved(model: VideoViT, video: Tensor, *, enabled: bool = False) -> int:
    """Return the bytes that are kept between forward and backward."""
    held = Held()
    with held, lean(model, enabled):
        loss = model(video).sum()
    found = held.bytes(video, *model.parameters())
    loss.backward()
    return found


def clip_vit(name: str) -> VideoViT:
    """Return three blocks of ViT-B/16's proportions, a quarter as wide."""
    vit = timm.create_model(
        "vit_base_patch16_clip_quickgelu_224",
        **{"depth": 3, "embed_dim": 192, "num_heads": 3, "img_size": 112, "num_classes": 0},
    )
    options = dict(METHODS[name])
    if name.startswith("st_adapter"):
        options["width"] = 96
    if name.startswith("prompt"):
        options["tokens"] = 3
    return adapt(vit, str(options.pop("name")), frames=8, classes=5, **options).train()


@pytest.mark.slow
@pytest.mark.parametrize("name", MOST)
def test_lean_saves_less_than_the_papers_form(name: str) -> None:
    model = clip_vit(name)
    video = torch.randn(1, 3, 8, 112, 112)
    paper, fast = saved(plain(model).train(), video), saved(model, video)
    own = saved(model, video, enabled=True)
    assert own <= fast <= paper
    assert own <= MOST[name] * paper, f"{own / paper:.3f}, {fast / paper:.3f} without"


@pytest.mark.slow
def test_lean_changes_no_bit(name: str) -> None:
    model = construct("class token", name).train()
    has_gelu = [m for m in model.vit.modules() if isinstance(getattr(m, "act", None), nn.GELU)]
    assert len(has_gelu) >= 2
    for module in has_gelu[::2]:  # the others keep it
        module.act = QuickGELU()
    for p in model.parameters():
        p.data.add_(0.1 * torch.randn(p.shape))
    video = torch.randn(2, 3, FRAMES, SIZE, SIZE)
    found = []
    for enabled in (False, True):
        model.zero_grad()
        torch.manual_seed(1)  # of dropout
        with lean(model, enabled):
            logits = model(video)
        logits.square().sum().backward()
        found.append({n: p.grad for n, p in model.named_parameters()} | {"logits": logits})
    assert_close(*found, rtol=0, atol=0)


def test_quick_gelu_is_timms_to_the_bit_and_its_gradient_is_right() -> None:
    x = torch.randn(5, 7, requires_grad=True)
    assert torch.equal(QuickGELU()(x), timm.layers.activations.quick_gelu(x))
    assert torch.equal(QuickGELU()(x.detach()), timm.layers.activations.quick_gelu(x))
    double = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(QuickGELU(), (double.t(),))


def test_lean_leaves_nothing_behind() -> None:
    model = construct("class token", "aim").train()
    with pytest.raises(AssertionError, match="divisible"), lean(model):
        model(torch.randn(2, 3, FRAMES, SIZE, SIZE + 3))
    assert not any(module._forward_hooks for module in model.modules())
    assert torch._C._autograd._top_saved_tensors_default_hooks(False) is None
