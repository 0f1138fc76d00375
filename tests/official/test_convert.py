"""Our methods against the authors': weights, inputs and outputs of their code in reference/golden.

Every file there is tested by being there. The table of errors is printed at the end of the tests.
"""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from places import FIXTURES
from safetensors import safe_open
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT
from benchmark.official import from_official
from benchmark.official._convert import bare_name, our_name, unfilled, whole_state

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

    @property
    def told(self) -> dict[str, Any]:
        """What shapes don't tell."""
        config = {"heads": self.config["heads"], "frames": self.config["num_frames"]}
        return {"method": self.method, "config": self.config, **config}

    def model(self, state: dict[str, Tensor] | None = None, **options: Any) -> VideoViT:
        return from_official(state or self.part("weights"), **(self.told | options))

    def trainable_names(self) -> dict[str, int]:
        """The authors' trainable tensors under our names, and their sizes."""
        state = whole_state(self.part("weights"), {}, self.method)
        ours = unfilled(state, **self.told)[1]
        return {ours[bare_name(theirs)]: size for theirs, size in self.trainable.items()}


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
    grads = [own[name].grad for name in golden.trainable_names()]
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
    assert own == golden.trainable_names()
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


def test_every_paper_has_a_method_and_says_what_each_name_becomes() -> None:
    for paper in lookup.names("benchmark.official"):
        assert paper in lookup.names("benchmark.methods")
        assert callable(lookup.find("benchmark.official", paper))
        assert "head" in import_module(f"benchmark.official.{paper}").NAMES.values()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("a.b", "x"),
        ("c.bias", "y.bias"),
        ("d.3.e.12.f.weight", "z.3.w.12.weight"),
        ("d.3.e.f", "d.3.e.f"),
        ("c", "y"),
        ("c.more.bias", "c.more.bias"),
    ],
)
def test_a_name_is_known_whole_or_by_its_layer(theirs: str, ours: str) -> None:
    assert our_name(theirs, {"a.b": "x", "c": "y", "d.*.e.*.f": "z.*.w.*"}) == ours


@pytest.mark.parametrize(
    ("heads", "stdha", "shifts"),
    [  # what their shift code does, probed with keys that hold the number of their frame
        (12, {"shift_div": 12, "divide_head": False}, {-1: 1, 1: 1}),
        (12, {"shift_div": 12, "long_shift_div": 12, "long_shift_right": True}, "four"),
        (16, {"shift_div": 8, "long_shift_div": 8}, {-1: 2, 1: 2, -2: 2}),
        (16, {"shift1_div": 8, "shift2_div": 16, "shift3_div": 16, "shift3_right": False}, "long"),
    ],
)
def test_heads_shift_as_the_authors_options_say(
    heads: int, stdha: dict[str, Any], shifts: dict[int, int] | str
) -> None:
    named = {"four": {-1: 1, 1: 1, -2: 1, 2: 1}, "long": {-1: 2, 1: 2, -2: 1, 2: 1, -3: 1}}
    wanted = named[shifts] if isinstance(shifts, str) else shifts
    vit = VisionTransformer(img_size=8, patch_size=8, embed_dim=heads, num_heads=heads, depth=1)
    found = lookup.find("benchmark.official", "zeroi2v")({}, vit, {"stdha_cfg": stdha})["shifts"]
    assert list(found.items()) == list(wanted.items())


def test_what_the_caller_says_goes_before_what_the_file_says(golden: Golden) -> None:
    if golden.method == "st_adapter":
        with pytest.raises(UserError, match=r"of another size: .*down"):
            golden.model(width=5)
    else:
        with torch.no_grad():
            own, other = (
                model(golden.tensors["input"])
                for model in (golden.model(), golden.model(scale=2.0))
            )
        assert relative(other, own) > 1e-3
    with pytest.raises(UserError, match=f"{golden.method} has no option 'widht'"):
        golden.model(widht=5)


def test_a_file_says_in_one_line_what_it_lacks(golden: Golden) -> None:
    state = golden.part("weights")
    headless = {k: v for k, v in state.items() if not k.startswith(("fc.", "cls_head."))}
    with pytest.raises(UserError, match=rf"no head in the {golden.method} file \(.*weight\)"):
        golden.model(headless)
    with pytest.raises(
        UserError, match=r"no transformer\.resblocks\.0\.mlp\.c_fc\.weight in the file"
    ):
        golden.model({k: v for k, v in state.items() if ".0.mlp.c_fc" not in k})
    with pytest.raises(UserError, match="heads is 5, which does not divide"):
        golden.model(heads=5)
    if golden.method != "st_adapter":
        with pytest.raises(UserError, match="frames is 8; the file's temporal embedding has 4"):
            golden.model(frames=8)
    first = next(k for k in state if "dapter" in k and k.endswith("fc1.weight") and ".0." in k)
    with pytest.raises(UserError, match=r"not in the same blocks|disagree|not the last ones"):
        golden.model({k: v for k, v in state.items() if k != first})
    with pytest.raises(UserError, match="no converter for 'aimm'; did you mean 'aim'"):
        golden.model(method="aimm")
