"""The bench: forms are held equal before a time is told, and files say what was measured."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from types import MethodType

import pytest
import torch
from torch import Tensor, nn

from benchmark.cost import bare, counts
from benchmark.cost.plain import plain
from benchmark.cost.saved import SavedForBackward
from benchmark.cost.speed import bench, growth, page
from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT
from benchmark.recipes import compose
from benchmark.results import record, speed
from benchmark.results.speed import Bench, Growth, Loading, Machine, MachineSpeed, Point, Settings

HOW = replace(
    bench.settings("vit_digits", device="cpu", depth=1, size=32, frames=2, rounds=1), batch=2
)


def measured(method: str) -> tuple[speed.Row, float]:
    (found,) = bench.measure([method], HOW, "cpu")
    return found


@pytest.fixture(scope="module")
def row() -> speed.Row:
    return measured("zeroi2v")[0]


def machine(**changes: object) -> MachineSpeed:
    about = Machine(
        device="A Chip (R) 9",
        cores=2,
        threads=1,
        python="3.11",
        torch="2.15.0",
        timm="1.0",
        commit="unknown",
        date="2026-11-28",
    )
    return replace(MachineSpeed(machine=about), **changes)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_row_holds_what_is_counted_and_rates_that_follow_from_it(row: speed.Row) -> None:
    model = bench.build(bare.method("zeroi2v"), HOW)
    assert row.trained_parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert row.training_macs == counts.training_macs(model, size=32)
    assert row.merged_seconds is not None and row.merged_beside_vit is not None
    assert set(row.beside) == {"plain", "vit"}
    step, _ = bench.one(bare.method("zeroi2v"), HOW, "cpu")
    assert row.memory_bytes == step.memory()


@pytest.mark.slow
def test_a_product_is_counted_once_forward_and_once_for_each_gradient_that_is_needed() -> None:
    how = replace(HOW, frames=1, batch=1)
    probe = counts.training_macs(bench.build(bare.method("linear_probe"), how), size=32)
    forward = counts.macs(bench.build(bare.method("linear_probe"), how), size=32)
    assert probe == forward + 96 * bench.CLASSES  # the head's weights; nothing below is reached
    full = counts.training_macs(bench.build(bare.method("full"), how), size=32)
    pixels = 16 * 3 * 8 * 8 * 96  # of the patches: no gradient of the video
    assert full == 3 * forward - pixels


def test_the_bytes_counted_without_computing_are_those_that_are_kept() -> None:
    model = plain(bench.build(bare.method("st_adapter"), replace(HOW, batch=1)))
    with SavedForBackward(model) as saved:
        logits = model.train()(torch.randn(1, 3, 2, 32, 32))
        loss = nn.functional.cross_entropy(logits, torch.zeros(1, dtype=torch.int64))
    assert loss.requires_grad and counts.saved_bytes(model, size=32) == pytest.approx(
        saved.bytes, rel=0.05
    )


@pytest.mark.slow
def test_a_form_that_computes_something_else_is_refused_in_one_line() -> None:
    def wrong(model: VideoViT) -> VideoViT:
        changed = copy.deepcopy(model)

        def forward(self: nn.Module, x: Tensor) -> Tensor:
            return 1.01 * type(self).forward(self, x)

        changed.head.forward = MethodType(forward, changed.head)
        return changed

    with pytest.raises(UserError, match=r"^aim: its wrong form computes something else: .* timed$"):
        list(bench.measure(["aim"], HOW, "cpu", {"wrong": wrong}))


@pytest.mark.slow
def test_a_form_with_another_gradient_is_refused_though_its_logits_are_the_same() -> None:
    def deaf(model: VideoViT) -> VideoViT:
        changed = copy.deepcopy(model)

        def forward(self: nn.Module, x: Tensor) -> Tensor:
            return type(self).forward(self, x.detach())

        changed.head.forward = MethodType(forward, changed.head)
        return changed

    with pytest.raises(UserError, match="only one form trains"):
        list(bench.measure(["full"], HOW, "cpu", {"deaf": deaf}))


@pytest.mark.parametrize("name", compose.names("methods"))
def test_a_bare_machine_reads_the_recipes_that_omegaconf_reads(name: str) -> None:
    assert bare.method(name) == compose.read(f"methods/{name}")["method"]


@pytest.mark.parametrize("name", compose.names("backbones"))
def test_a_bare_machine_reads_backbones(name: str) -> None:
    assert dict(bare.backbone(name)) == compose.read(f"backbones/{name}")["backbone"]


def test_options_follow_a_method() -> None:
    found = bare.method("st_adapter,width=64,kernel=[3, 3, 3]")
    assert found == {"name": "st_adapter", "sites": ["attn"], "width": 64, "kernel": [3, 3, 3]}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("aimm", "no method 'aimm'; did you mean 'aim'?"),
        ("aim,ratioo=1", "aim has no option 'ratioo'"),
        ("st_adapter,width=wide", "width is 'wide', not int"),
    ],
)
def test_what_is_no_method_is_told(said: str, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        bare.method(said)
    assert problem in str(caught.value)


def test_a_file_holds_what_was_written_and_keeps_what_else_it_had(
    row: speed.Row, tmp_path: Path
) -> None:
    first = Bench(settings=HOW, matrix_rate=1e9, rows=(row,))
    clips = Loading(
        videos="x", cached=False, frames=8, size=32, sampling="uniform", clips_per_second=9.0
    )
    place = speed.write(machine(benches=(first,), loading=(clips,)), tmp_path / "a.json")
    assert speed.read(place) == machine(benches=(first,), loading=(clips,))
    more = replace(row, method="more")
    again = replace(first, matrix_rate=2e9, settings=replace(HOW, rounds=5), rows=(more,))
    other = replace(first, settings=replace(HOW, batch=4))
    speed.write(machine(benches=(again, other)), place)
    found = speed.read(place)
    assert {each.settings.batch: each.matrix_rate for each in found.benches} == {2: 2e9, 4: 1e9}
    assert [r.method for each in found.benches for r in each.rows] == ["zeroi2v", "more", "zeroi2v"]
    assert found.loading == (clips,) and found.machine.kind == "a-chip-r-9"


@pytest.mark.parametrize("content", ["[]", "{}", '{"version": 1}', '{"version": 2}', "x"])
def test_what_is_no_file_of_the_bench_is_told_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match="no file of `benchmark bench`"):
        speed.read(tmp_path / "a.json")


def test_the_committed_files_are_whole_and_their_page_is_theirs() -> None:
    machines = speed.machines()
    for kind, found in machines.items():
        assert found.machine.kind == kind
        assert json.loads(speed.path(kind).read_text()) == json.loads(speed.text(found))
        for each in found.benches:
            for row in each.rows:
                macs = row.training_macs * each.settings.batch
                rate = macs / row.step_seconds / row.matrix_share  # of the product in its rounds
                assert rate == pytest.approx(each.matrix_rate, rel=0.5)
    if machines:
        assert (speed.folder() / "README.md").read_text() == page.page(machines)
    assert not [file for file in record.files() if file.is_relative_to(speed.folder())]


def test_a_slope_is_the_power_that_a_cost_grows_with() -> None:
    assert growth.slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    points = tuple(
        Point(value=n, step_seconds=n**2, memory_bytes=7 * n, training_macs=n**3, saved_bytes=n)
        for n in (4, 8, 64)
    )
    found = page.growth_table(
        [Growth(method="aim", axis="frames", settings=HOW, points=points)]
    ).splitlines()[-1]
    assert "| `aim` | frames | 4 … 64 | 2.00 | 3.00 | 1.00 | 1.00 |" in found


@pytest.mark.slow
def test_growth_measures_each_axis() -> None:
    axes = {"frames": (2, 4), "batch": (1, 2)}
    frames, batch = growth.measure(["full"], replace(HOW, rounds=1), "cpu", axes)
    head = 3 * 96 * bench.CLASSES * HOW.batch  # of a clip, however many frames it has
    few, many = (point.training_macs - head for point in frames.points)
    assert many == 2 * few
    assert batch.points[1].training_macs == 2 * batch.points[0].training_macs
    assert batch.points[1].memory_bytes > 1.5 * batch.points[0].memory_bytes


def test_settings_say_what_the_backbone_is() -> None:
    found = bench.settings("vit_b16_clip", device="cpu", depth=3)
    assert (found.width, found.depth, found.size) == (768, 3, 224)
    assert isinstance(found, Settings)
