"""Our methods against the authors': weights, inputs and outputs of their code in reference/golden.

Every file there is tested by being there. The table of errors is printed at the end of the tests.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from places import FIXTURES
from safetensors import safe_open
from torch import Tensor

from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT
from benchmark.official.convert import bare_name, from_official, our_name

FILES = sorted((FIXTURES / "reference" / "golden").glob("*.safetensors"))


class Golden(NamedTuple):
    """One file: the authors' weights and what their code makes of an input."""

    path: Path
    method: str
    config: dict[str, Any]
    trainable: dict[str, int]
    counts: tuple[int, int]
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        found = {k: v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}
        return {k.removeprefix(f"{prefix}."): v for k, v in found.items()}

    def model(self, state: dict[str, Tensor] | None = None, **options: Any) -> VideoViT:
        found = {"heads": self.config["heads"], "frames": self.config["num_frames"]}
        if self.method in ("aim", "zeroi2v"):
            found["scale"] = self.config["adapter_scale"]
        if self.method == "zeroi2v":
            found["shifts"] = shifts(self.config)
        return from_official(state or self.part("weights"), method=self.method, **(found | options))


def shifts(config: dict[str, Any]) -> dict[int, int]:
    """Return the head shifts that the authors' `stdha_cfg` means: offset -> heads, in order."""
    stdha, heads = config["stdha_cfg"], config["heads"]
    found = {-1: heads // stdha["shift_div"], 1: heads // stdha["shift_div"]}
    if stdha.get("long_shift_div"):
        found[-2] = heads // stdha["long_shift_div"]
        if stdha.get("long_shift_right"):
            found[2] = heads // stdha["long_shift_div"]
    return found


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Golden:
    with safe_open(request.param, "pt") as file:
        meta = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    counts = (int(meta["num_trainable"]), int(meta["num_total"]))
    trainable = json.loads(meta["trainable"])
    config = json.loads(meta["config"])
    return Golden(request.param, meta["method"], config, trainable, counts, tensors)


def test_there_are_golden_files() -> None:
    assert len(FILES) >= 6


def test_logits_and_gradients_are_the_authors(
    golden: Golden, record_property: Callable[[str, object], None]
) -> None:
    model = golden.model()
    logits = model(golden.tensors["input"])
    error = relative(logits.detach(), golden.tensors["logits"])
    logits.square().sum().backward()
    own = dict(model.named_parameters())
    grads = [own[our_name(bare_name(name), model, golden.method)].grad for name in golden.trainable]
    norms = torch.stack([grad.norm() for grad in grads if grad is not None])
    slope = relative(norms, golden.tensors["grad_norms"])
    line = (
        f"{golden.method:11} {golden.path.stem:19} logits {error:.1e}, gradient norms {slope:.1e}"
    )
    record_property("parity with the authors' code: largest error, relative", line)
    assert error < 1e-4
    assert slope < 1e-3


def test_trainable_tensors_and_counts_are_the_authors(golden: Golden) -> None:
    model = golden.model()
    own = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    theirs = {our_name(bare_name(k), model, golden.method): n for k, n in golden.trainable.items()}
    assert own == theirs
    assert (sum(own.values()), sum(p.numel() for p in model.parameters())) == golden.counts


def test_merged_weights_are_the_authors(golden: Golden) -> None:
    if not (theirs := golden.part("merged")):
        assert golden.method != "zeroi2v"
        with pytest.raises(ValueError, match="nothing to merge"):
            golden.model().merge()
        return
    model = golden.model()
    merged, loaded = model.merge(), golden.model(theirs)
    assert merged.state_dict().keys() == loaded.state_dict().keys()
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, loaded.state_dict()[name], rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        video = golden.tensors["input"]
        assert relative(merged(video), model(video)) < 1e-5
        assert relative(loaded(video), golden.tensors["logits"]) < 1e-4


def test_the_tower_may_come_separately(golden: Golden) -> None:
    state = golden.part("weights")
    added = {k: v for k, v in state.items() if "dapter" in k or k.startswith(("fc", "cls_head"))}
    added |= {k: v for k, v in state.items() if "temporal_embedding" in k or "ln_post" in k}
    base = {k.removeprefix("backbone."): v for k, v in state.items() if k not in added}
    base |= {"proj": torch.zeros(1)}
    base = {f"visual.{k}": v for k, v in base.items()} | {"logit_scale": torch.zeros(())}
    model = golden.model(added, base=base)
    video = golden.tensors["input"]
    assert torch.equal(model(video), golden.model()(video))


def test_what_is_missing_or_left_over_is_named(golden: Golden) -> None:
    state = golden.part("weights")
    block = next(k for k in state if k.endswith("1.ln_1.weight"))
    without = {k: v for k, v in state.items() if k != block}
    with pytest.raises(UserError, match=r"missing: vit\.blocks\.1\..*norm1\.weight"):
        golden.model(without)
    with pytest.raises(UserError, match=r"left over: .*surprise"):
        golden.model({**state, "surprise.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"frames|another size|heads"):
        golden.model(heads=7)


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())
