"""What decays and how the learning rate moves: as today by default, as in the papers on demand."""

import math

import pytest
import timm
import torch
from torch import nn

from benchmark.errors import UserError
from benchmark.methods.aim import aim
from benchmark.models.video_vit import VideoViT
from benchmark.training.optim import adamw, sgd, warmup_cosine


def model() -> VideoViT:
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=32, num_classes=0, depth=2)
    made = VideoViT(vit, frames=2, num_classes=5)
    aim(made)
    return made


def decays(no_decay: list[str] | None) -> dict[str, float]:
    """Return the decay of everything that trains."""
    made = model()
    options = {} if no_decay is None else {"no_decay": no_decay}
    optimizer = adamw(made, lr=1e-3, head_lr=None, weight_decay=0.1, betas=(0.9, 0.999), **options)
    listed = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    return {name: listed[id(p)] for name, p in made.named_parameters() if p.requires_grad}


def spared(no_decay: list[str] | None) -> set[str]:
    return {name for name, decay in decays(no_decay).items() if decay == 0}


def test_by_default_vectors_do_not_decay():
    named = dict(model().named_parameters())
    expected = {name for name, p in named.items() if p.requires_grad and p.ndim <= 1}
    assert spared(None) == spared(["vectors"]) == expected
    assert "vit.norm.weight" in expected and "head.weight" not in expected


def test_vectors_do_not_decay_and_the_head_may_learn_faster():
    made = model()
    optimizer = adamw(made, lr=1e-3, head_lr=1e-2, weight_decay=0.1, betas=(0.9, 0.999))
    listed = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    trained = {name: p for name, p in made.named_parameters() if p.requires_grad}
    assert len(listed) == len(trained)
    for name, p in trained.items():
        group = listed[id(p)]
        assert group["weight_decay"] == (0.1 if p.ndim > 1 else 0.0), name
        assert group["lr"] == (1e-2 if name.startswith("head") else 1e-3), name


def test_parts_of_names_do_not_decay():
    norm = {"vit.norm.weight", "vit.norm.bias"}
    assert spared(["vit.norm."]) == norm  # AIM: all biases and the embedding of time decay
    assert spared(["vit.norm.", "embedding"]) == {*norm, "vit.norm_pre.0.embedding"}  # ZeroI2V
    biases = spared([".bias"])  # ST-Adapter
    assert biases == {name for name in decays(None) if name.endswith(".bias")}
    assert spared([]) == set()
    assert set(decays([]).values()) == {0.1}


def test_a_part_that_is_in_no_name_is_told():
    with pytest.raises(
        UserError, match="'embeding' is in no parameter's name; did you mean 'embed"
    ):
        spared(["embeding"])


def test_each_block_learns_slower_than_the_one_behind_it():
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=32, num_classes=0, depth=3)
    made = VideoViT(vit, frames=2, num_classes=5)
    made.requires_grad_(True)
    optimizer = adamw(
        made, lr=1e-3, head_lr=None, layer_decay=0.5, weight_decay=0.1, betas=(0.9, 0.999)
    )
    listed = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    expected = {  # by hand: 1e-3 halved once per stage, as BEiT and MAE count them
        **{"vit.cls_token": 6.25e-5, "vit.pos_embed": 6.25e-5, "vit.patch_embed.": 6.25e-5},
        **{"vit.blocks.0.": 1.25e-4, "vit.blocks.1.": 2.5e-4, "vit.blocks.2.": 5e-4},
        **{"vit.norm.": 1e-3, "head.": 1e-3},
    }
    found = {name: listed[id(p)] for name, p in made.named_parameters()}
    for name, rate in found.items():
        (part,) = [each for each in expected if name.startswith(each)]
        assert rate == pytest.approx(expected[part], rel=1e-12), name
    assert set(found.values()) == set(expected.values())


def test_the_rate_of_the_head_and_of_what_a_method_adds():
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", img_size=32, num_classes=0, depth=3)
    made = VideoViT(vit, frames=2, num_classes=5)
    aim(made)
    given = {"weight_decay": 0.1, "betas": (0.9, 0.999)}
    optimizer = adamw(made, lr=1e-3, head_lr=4e-3, layer_decay=0.5, **given)
    listed = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, p in made.named_parameters():
        if p.requires_grad:
            rate = 4e-3 if name.startswith("head.") else 1e-3
            rate = 6.25e-5 if name.startswith("vit.norm_pre.") else rate  # the embedding of time
            rate = 1e-3 / 2 ** (3 - int(name.split(".")[2])) if "blocks" in name else rate
            assert listed[id(p)] == pytest.approx(rate), name


def test_without_a_decay_of_layers_there_is_one_rate():
    made = model()
    given = {"weight_decay": 0.1, "betas": (0.9, 0.999)}
    one, other = (
        adamw(made, lr=1e-3, head_lr=None, **given, **more) for more in ({}, {"layer_decay": 1.0})
    )
    assert (
        [g["lr"] for g in one.param_groups] == [g["lr"] for g in other.param_groups] == [1e-3] * 2
    )


def rates(steps: int, **options: object) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = warmup_cosine(optimizer, steps=steps, **options)  # type: ignore[arg-type]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_schedule_rises_then_falls_to_nothing():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = warmup_cosine(optimizer, warmup=10, steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_the_default_schedule_is_what_it_always_was():
    def before(step: int) -> float:
        if step < 5:
            return (step + 1) / 6
        return 0.5 * (1 + math.cos(math.pi * (step - 5) / 15))

    assert rates(20, warmup=5) == [before(step) for step in range(20)]
    assert rates(3, warmup=0)[0] == 1.0
    assert rates(2, warmup=4) == [0.2, 0.4]  # all of it is warm-up


def test_a_warmup_may_start_above_nothing():
    found = rates(100, warmup=10, start=0.1)
    assert found[:11] == pytest.approx([0.1 + 0.09 * step for step in range(11)])
    assert found[11:] == rates(100, warmup=10)[11:]


def mmcv(step: int, *, epochs: int, length: int, warmup: float, ratio: float) -> float:
    """Return what mmcv's CosineAnnealing by epoch gives, with a linear warm-up by iteration."""
    regular = 0.5 * (1 + math.cos(math.pi * (step // length) / epochs))
    done = step / (warmup * length)
    return regular * (1 - (1 - done) * (1 - ratio)) if done < 1 else regular


def test_the_rate_may_drop_to_a_tenth_instead():
    found = rates(30, warmup=0, drops=[22, 28], epochs=15)  # TimeSformer: epochs 11 and 14 of 15
    assert found == pytest.approx([1.0] * 22 + [0.1] * 6 + [0.01] * 2)
    assert rates(30, warmup=4, drops=[22.0])[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_sgd_has_the_same_groups():
    made, how = model(), {"lr": 1e-3, "head_lr": 4e-3, "weight_decay": 0.1, "layer_decay": 0.5}
    one = adamw(made, betas=(0.9, 0.999), **how)
    other = sgd(made, momentum=0.9, nesterov=True, **how)
    for a, b in zip(one.param_groups, other.param_groups, strict=True):
        assert [id(p) for p in a["params"]] == [id(p) for p in b["params"]]
        assert (a["lr"], a["weight_decay"]) == (b["lr"], b["weight_decay"])
        assert b["momentum"] == 0.9 and b["nesterov"]


def test_by_epoch_it_is_mmcvs_schedule():
    found = rates(50 * 40, warmup=100, start=0.1, epochs=50)
    expected = [mmcv(s, epochs=50, length=40, warmup=2.5, ratio=0.1) for s in range(50 * 40)]
    assert found == pytest.approx(expected)
    assert len(set(found[100:])) == 49 - 1  # one per epoch, from the third on
    # the rate that AIM's log prints for the last epoch, adapt-image-models issue 25: 2.960e-07
    assert f"{3e-4 * found[-1]:.3e}" == "2.960e-07"


def test_by_epoch_it_is_mmengines_but_for_a_step_of_its_warmup():
    """ZeroI2V: LinearLR from 0.1 over 2.5 epochs, times CosineAnnealingLR by epoch.

    torch's schedulers of these names multiply in the same way. mmengine's end one step earlier.
    """
    epochs, length = 40, 20
    warmup = int(2.5 * length)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    linear = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=warmup - 1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    expected = []
    for step in range(epochs * length):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        linear.step()
        if (step + 1) % length == 0:
            cosine.step()
    found = rates(epochs * length, warmup=warmup, start=0.1, epochs=epochs)
    assert found[warmup:] == pytest.approx(expected[warmup:], abs=1e-9)
    assert found[:warmup] == pytest.approx(expected[:warmup], abs=0.9 / warmup)
