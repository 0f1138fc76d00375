"""Backbones load exactly from every kind of file, and say in one line why not."""

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import UserError
from benchmark.models import backbone
from benchmark.models.weights import fingerprint, read_weights
from benchmark.recipes import compose

WEIGHTS = compose.RECIPES / "backbones" / "vit_digits.safetensors"
NAME = "vit_base_patch16_clip_quickgelu_224.openai"
OPTIONS = {"patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4}


class Attention(nn.Module):
    """Multi-head attention written out, under the names of torch's own module."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.randn(3 * width) * 0.1)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        size = d // self.heads
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        q = q.reshape(b, n, self.heads, size).transpose(1, 2)
        k = k.reshape(b, n, self.heads, size).transpose(1, 2)
        v = v.reshape(b, n, self.heads, size).transpose(1, 2)
        weights = (q @ k.transpose(-2, -1) * size**-0.5).softmax(dim=-1)
        return self.out_proj((weights @ v).transpose(1, 2).reshape(b, n, d))


class ResidualBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        y = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](y * torch.sigmoid(1.702 * y))  # QuickGELU


class Transformer(nn.Module):
    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(ResidualBlock(width, heads) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x)


class Visual(nn.Module):
    """CLIP's visual tower, plainly: Radford et al., 2021, https://arxiv.org/abs/2103.00020."""

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn((size // patch) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(width, depth, heads)
        self.proj = nn.Parameter(torch.randn(width, 32))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0])


class CLIP(nn.Module):
    """The visual tower, and of the text tower what tells OpenAI's archives apart."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = Visual(32, 8, 48, 2, 4)
        self.logit_scale = nn.Parameter(torch.ones(()))
        self.positional_embedding = nn.Parameter(torch.randn(7, 32))
        self.text_projection = nn.Parameter(torch.randn(32, 32))

    def forward(self, x: Tensor) -> Tensor:
        return self.visual(x) * self.logit_scale


@pytest.fixture
def clip() -> CLIP:
    torch.manual_seed(0)
    model = CLIP()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)  # norms too must matter
    return model.eval()


@pytest.mark.parametrize("kind", ["archive", "state dict", "half", "visual", "safetensors"])
@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")  # the format is OpenAI's
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # only the weights are read back
def test_openai_files_give_clips_own_features(clip: CLIP, tmp_path: Path, kind: str) -> None:
    video = torch.randn(3, 3, 32, 32)
    file = tmp_path / ("clip.safetensors" if kind == "safetensors" else "clip.pt")
    if kind == "archive":
        torch.jit.trace(clip, video).save(file)  # type: ignore[no-untyped-call]
    elif kind == "safetensors":
        safetensors.torch.save_file(clip.state_dict(), file)
    elif kind == "visual":
        torch.save({f"visual.{k}": v for k, v in clip.visual.state_dict().items()}, file)
    else:
        torch.save((clip.half() if kind == "half" else clip).state_dict(), file)
    vit = backbone.load(NAME, size=32, weights=str(file), options=OPTIONS).eval()
    with torch.no_grad():
        expected = clip.float().visual(video)
        found = vit(video)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_timm_files_load_exactly_and_positions_are_resampled(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = backbone.build(NAME, size=32, options=OPTIONS)
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, tmp_path / "vit.pth")
    same = backbone.load(NAME, size=32, weights=str(tmp_path / "vit.pth"), options=OPTIONS)
    assert fingerprint(same.state_dict()) == fingerprint(source.state_dict())
    larger = backbone.load(NAME, size=48, weights=str(tmp_path / "vit.pth"), options=OPTIONS)
    assert larger.pos_embed.shape[1] == 37
    assert fingerprint(larger.state_dict()) != fingerprint(source.state_dict())


def test_the_embedded_backbone_is_the_one_committed() -> None:
    options = {"patch_size": 8, "embed_dim": 96, "depth": 4, "num_heads": 6}
    vit = backbone.load("vit_tiny_patch16_224", size=32, weights=str(WEIGHTS), options=options)
    assert fingerprint(vit.state_dict()).startswith(FINGERPRINT)


FINGERPRINT = "a9408437aa34"


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_nothing_is_unpickled_but_tensors(tmp_path: Path) -> None:
    torch.save({"state_dict": Trap(tmp_path / "sprung")}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="more than tensors"):
        read_weights(tmp_path / "bad.pth")
    assert not (tmp_path / "sprung").exists()


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = backbone.build(NAME, size=32, options=OPTIONS).state_dict()
    file = tmp_path / "vit.safetensors"

    def load(state: dict[str, Tensor]) -> None:
        safetensors.torch.save_file(state, file)
        backbone.load(NAME, size=32, weights=str(file), options=OPTIONS)

    with pytest.raises(UserError, match=r"missing \['blocks.1.norm1.weight'\]"):
        load({k: v for k, v in state.items() if k != "blocks.1.norm1.weight"})
    with pytest.raises(UserError, match=r"left over \['surprise'\]"):
        load({**state, "surprise": torch.zeros(1)})
    with pytest.raises(UserError, match="another shape"):
        load({**state, "norm.weight": torch.zeros(3)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("vit_base_patch16_clip_224x", "random", "has no model"),
        ("resnet18", "random", "VisionTransformer"),
        ("vit_base_patch16_dinov3", "random", "rotary positions"),
        (NAME, "nowhere.pt", "there is no file"),
        (NAME, "timm", "backbone.weights=FILE"),
    ],
)
def test_mistakes_take_one_line(name: str, weights: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        backbone.load(name, size=32 if weights != "timm" else 224, weights=weights)
    assert "\n" not in str(caught.value)


def test_fingerprint_sees_every_value() -> None:
    vit = timm.create_model("test_vit", num_classes=0)
    before = fingerprint(vit.state_dict())
    with torch.no_grad():
        vit.blocks[0].mlp.fc1.bias[3] += 1e-6
    assert fingerprint(vit.state_dict()) != before
