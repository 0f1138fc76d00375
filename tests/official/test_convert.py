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
from tiny import demand
from torch import Tensor

from benchmark import lookup
from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT
from benchmark.official import from_official
from benchmark.official._convert import Converted, converted, is_one_of, our_name
from benchmark.official._towers import bare_name

PAPERS = "benchmark.official"
FOLDERS = ("golden", "golden_field", "golden_field_image")
FILES = [
    file
    for folder in FOLDERS
    for file in sorted((FIXTURES / "reference" / folder).glob("*.safetensors"))
]


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
        return {
            "method": self.method,
            "config": self.config,
            "heads": self.config["heads"],
            "frames": self.config["num_frames"],
            "base": self.part("base"),
            "text": self.tensors.get("text_features"),
        }

    def model(self, state: dict[str, Tensor] | None = None, **options: Any) -> VideoViT:
        return from_official(state or self.part("weights"), **(self.told | options))

    def made(self) -> Converted:
        return converted(self.part("weights"), **self.told)

    def dead(self, theirs: str) -> bool:
        """Whether the authors train a tensor that nothing reads."""
        unused = getattr(import_module(f"{PAPERS}.{self.method}"), "UNUSED", ())
        return is_one_of(bare_name(theirs), unused, map(bare_name, self.trainable))

    def trainable_names(self) -> set[str]:
        """Our names of the tensors that the authors train, but for dead ones."""
        ours = self.made().names
        return {n for t in self.trainable if not self.dead(t) for n in ours[bare_name(t)]}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Golden:
    """Every golden file there is."""
    found = read(request.param)
    if lookup.fact(PAPERS, found.method, "METHOD") == "peft":
        demand(found.method)
    return found


@pytest.fixture(
    params=[file for file in FILES if file.parent.name == "golden"], ids=lambda f: f.stem
)
def first(request: pytest.FixtureRequest) -> Golden:
    """Those of the first three papers, whose mistakes stand for all."""
    return read(request.param)


def read(path: Path) -> Golden:
    with safe_open(path, "pt") as file:
        meta = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    counts = (int(meta["num_trainable"]), int(meta["num_total"]))
    trainable = json.loads(meta["trainable"])
    config = json.loads(meta["config"])
    return Golden(path, meta["method"], config, trainable, counts, tensors)


def test_there_are_golden_files() -> None:
    assert len(FILES) >= 6


def test_logits_and_gradients_are_the_authors(
    golden: Golden, record_property: Callable[[str, object], None]
) -> None:
    model = golden.model()
    logits = logits_of(model, golden.tensors["input"])
    error = relative(logits.detach(), golden.tensors["logits"])
    logits.square().sum().backward()
    own, names = dict(model.named_parameters()), golden.made().names
    theirs, norms = dict[tuple[str, ...], float](), list[float]()
    for name, norm in zip(golden.trainable, golden.tensors["grad_norms"].tolist(), strict=True):
        if golden.dead(name):
            assert norm == 0
        else:  # their queries, keys and values may be one of ours, a stack of theirs many
            ours = names[bare_name(name)]
            theirs[ours] = (theirs.get(ours, 0.0) ** 2 + norm**2) ** 0.5
    for ours in theirs:
        grads = [own[name].grad for name in ours]
        norms.append(float(torch.cat([g.flatten() for g in grads if g is not None]).norm()))
    slope = relative(torch.tensor(norms), torch.tensor(list(theirs.values())))
    file = f"{golden.path.parent.name}/{golden.path.stem}"
    line = f"| `{golden.method}` | {file} | {_short(error)} | {_short(slope)} |"
    record_property("parity with the authors' code, for benchmark/methods/README.md", line)
    assert error < 1e-5
    assert slope < 1e-4


def test_batch_statistics_are_the_authors_in_training() -> None:
    tested = [each for each in map(read, FILES) if "logits_train" in each.tensors]
    assert "side4video" in {each.method for each in tested}
    for each in tested:
        model = each.model().train()
        logits = logits_of(model, each.tensors["input"]).detach()
        assert relative(logits, each.tensors["logits_train"]) < 1e-5


def test_trainable_tensors_and_counts_are_the_authors(golden: Golden) -> None:
    model = golden.model()
    own = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert own.keys() == golden.trainable_names()
    dead = sum(size for name, size in golden.trainable.items() if golden.dead(name))
    assert sum(own.values()) + dead == golden.counts[0]


def test_merged_weights_are_the_authors(golden: Golden) -> None:
    if not (theirs := golden.part("merged")):
        if golden.model().mergeable:
            pytest.skip("the authors' file holds no merged weights")
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


def test_the_tower_may_come_separately(first: Golden) -> None:
    state = first.part("weights")
    added = {k: v for k, v in state.items() if "dapter" in k or k.startswith(("fc", "cls_head"))}
    added |= {k: v for k, v in state.items() if "temporal_embedding" in k or "ln_post" in k}
    base = {k.removeprefix("backbone."): v for k, v in state.items() if k not in added}
    base |= {"proj": torch.zeros(1)}
    base = {f"visual.{k}": v for k, v in base.items()} | {"logit_scale": torch.zeros(())}
    model = first.model(added, base=base)
    video = first.tensors["input"]
    assert torch.equal(model(video), first.model()(video))


def test_what_is_missing_or_left_over_is_named(first: Golden) -> None:
    state = first.part("weights")
    block = next(k for k in state if k.endswith("1.ln_1.weight"))
    without = {k: v for k, v in state.items() if k != block}
    with pytest.raises(UserError, match=r"missing: vit\.blocks\.1\..*norm1\.weight"):
        first.model(without)
    with pytest.raises(UserError, match=r"left over: .*surprise"):
        first.model({**state, "surprise.weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"frames|another size|heads"):
        first.model(heads=7)


def logits_of(model: VideoViT, given: Tensor) -> Tensor:
    """Return logits (B, K) of clips, or of the tokens (B, T N, D) that files of readers hold."""
    if given.ndim == 5:
        return model(given)
    tokens = given.unflatten(1, (model.frames, -1)).flatten(0, 1)
    return model.head(model.reader(None, [tokens]))  # type: ignore[misc]


def _short(error: float) -> str:
    return f"{error:.1e}".replace("e-0", "e-")


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("paper", lookup.names(PAPERS))
def test_every_paper_has_a_method_and_golden_files(paper: str) -> None:
    method = lookup.fact(PAPERS, paper, "METHOD") or paper
    assert method in lookup.names("benchmark.methods")
    assert callable(lookup.find(PAPERS, paper))
    assert paper in {read(file).method for file in FILES}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("a.b", "x"),
        ("c.bias", "y.bias"),
        ("d.3.e.12.f.weight", "z.3.w.12.weight"),
        ("d.3.e.f", "d.3.e.f"),
        ("c", "y"),
        ("c.more.bias", "c.more.bias"),
        ("g.5", "k.5.l"),
        ("h.4.i.0.weight", "m.4.n.weight"),
        ("h.4.i.3.weight", "m.4.o.weight"),
        ("h.4.i.2.weight", "h.4.i.2.weight"),
    ],
)
def test_a_name_is_known_whole_or_by_its_layer(theirs: str, ours: str) -> None:
    names = {"a.b": "x", "c": "y", "d.*.e.*.f": "z.*.w.*", "g.*": "k.*.l"}
    names |= {"h.*.i.0": "m.*.n", "h.*.i.3": "m.*.o"}
    assert our_name(theirs, names) == ours


def test_what_is_unused_may_be_unused_in_the_last_block_alone() -> None:
    names = ["b.2.a.f.weight", "b.11.a.f.weight", "b.12.c.weight"]
    found = [is_one_of(name, ("b.-1.a.f",), names) for name in names]
    assert found == [False, True, False]
    assert all(is_one_of(name, ("b.*.a", "b.*.c"), names) for name in names)
    assert not is_one_of("b.2.ab.f", ("b.*.a", "b.-1.a"), names)


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


def test_what_the_caller_says_goes_before_what_the_file_says(first: Golden) -> None:
    if first.method == "st_adapter":
        with pytest.raises(UserError, match=r"of another size: .*down"):
            first.model(width=5)
    else:
        with torch.no_grad():
            own, other = (
                model(first.tensors["input"]) for model in (first.model(), first.model(scale=2.0))
            )
        assert relative(other, own) > 1e-3
    with pytest.raises(UserError, match=f"{first.method} has no option 'widht'"):
        first.model(widht=5)


def test_a_file_says_in_one_line_what_it_lacks(first: Golden) -> None:
    state = first.part("weights")
    headless = {k: v for k, v in state.items() if not k.startswith(("fc.", "cls_head."))}
    with pytest.raises(UserError, match=rf"no head in the {first.method} file \(.*weight\)"):
        first.model(headless)
    with pytest.raises(UserError, match=r"no vit\.blocks\.0\.mlp\.fc1\.weight in the file"):
        first.model({k: v for k, v in state.items() if ".0.mlp.c_fc" not in k})
    with pytest.raises(UserError, match="heads is 5, which does not divide"):
        first.model(heads=5)
    if first.method != "st_adapter":
        with pytest.raises(UserError, match="frames is 8; the file's temporal embedding has 4"):
            first.model(frames=8)
    gone = next(k for k in state if "dapter" in k and k.endswith("fc1.weight") and ".0." in k)
    with pytest.raises(UserError, match=r"not in the same blocks|disagree|not the last ones"):
        first.model({k: v for k, v in state.items() if k != gone})
    with pytest.raises(UserError, match="no converter for 'aimm'; did you mean 'aim'"):
        first.model(method="aimm")
