"""What the methods compute is what their papers' form computes, on every kind of backbone."""

import torch
from tiny import CLASSES, FRAMES, SIZE, construct
from torch.testing import assert_close

from benchmark.cost.plain import plain


def test_outputs_and_gradients_are_those_of_the_papers_form(name: str, backbone: str) -> None:
    model = construct(backbone, name).double().eval()
    for p in model.parameters():
        p.data.add_(0.1 * torch.randn(p.shape, dtype=p.dtype))
    video = torch.randn(3, 3, FRAMES, SIZE, SIZE, dtype=torch.float64)
    weights = torch.randn(3, CLASSES, dtype=torch.float64)
    found = {}
    for key, each in {"fast": model, "plain": plain(model)}.items():
        logits = each(video)
        (logits * weights).sum().backward()
        found[key] = {n: p.grad for n, p in each.named_parameters()} | {"logits": logits}
    assert_close(found["fast"], found["plain"], rtol=1e-9, atol=1e-9)
