"""What Hugging Face's peft adds: every kind that is let through merges; mistakes are one line."""

import sys

import pytest
import torch
from tiny import Build, construct, demand
from torch import Tensor

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.lookup.method_facts import method_facts
from benchmark.methods.peft import KINDS

RANKED = ("lora", "vera", "loha", "lokr", "hra", "randlora", "miss")
BLOCK = {"oft": {"oft_block_size": 8}, "c3a": {"block_size": 8}, "fourierft": {"n_frequency": 20}}


@pytest.fixture
def made() -> Build:
    demand("dora")
    return lambda **options: construct("class token", "dora", **options)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_merges_and_starts_as_it_says(kind: str, made: Build, video: Tensor) -> None:
    own = {"r": 4} if kind in RANKED else {"feedforward_modules": []} if kind == "ia3" else {}
    model = made(kind=kind, config={**own, **BLOCK.get(kind, {})}).train()
    still = video[:, :, :1].expand_as(video)
    frozen = construct("class token", "linear_probe")
    with torch.no_grad():
        starts = torch.allclose(model.eval()(still), frozen.eval()(still), atol=1e-5)
        assert starts == method_facts({"name": "peft", "kind": kind}).starts_frozen
        for parameter in model.vit.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape))
        merged = model.train().merge()
        assert merged.state_dict().keys() == frozen.state_dict().keys()
        logits = merged.eval()(video)
        error, change = ((logits - m.eval()(video)).abs().max() for m in (model, frozen))
        assert error < 1e-3 * change


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "adalora"}, "peft: kind is 'adalora'; there are lora, ia3"),
        ({"config": {"rr": 4}}, "peft: the library refuses this lora: .*'rr'"),
        ({"config": {"target_modules": "x"}}, "peft: config has target_modules, which kind"),
        ({"config": {"init_lora_weights": "pissa"}}, "init_lora_weights is 'pissa', which changes"),
        ({"targets": "nowhere"}, "peft: the library refuses this lora: .*nowhere"),
    ],
)
def test_a_mistake_is_one_line(options: dict[str, object], message: str) -> None:
    demand("dora")
    model = construct("class token", "linear_probe")
    named = {"name": "peft", "kind": "lora", **options}
    with pytest.raises(UserError, match=message) as told:
        lookup.call("benchmark.methods", named, model)
    assert "\n" not in str(told.value)


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    model = construct("class token", "linear_probe")
    with pytest.raises(UserError, match=r"peft: needs .*: pip install '\.\[peft\]'"):
        lookup.call("benchmark.methods", {"name": "peft", "kind": "lora"}, model)
