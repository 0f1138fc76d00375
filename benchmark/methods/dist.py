"""DiST (Qing et al., 2023), https://arxiv.org/abs/2309.07911: two nets beside the frozen ViT.

A slim convolutional net watches every frame, the ViT every `stride`-th of them, and an integration
net takes something from both after every block. The paper's head compares with CLIP's text; one
that is linear is the suite's own, and says so by having no `text`.
"""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from benchmark.methods._ranges import demand_size
from benchmark.methods._text import compare_with_text
from benchmark.models.activations import QuickGELU
from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": True,
    "starts_frozen": False,
    "merges": False,
    "backpropagates": False,
    "needs_class_token": True,
}
HEAD_WIDTH = 64  # of the pooling's attention


class TemporalNet(nn.Module):
    """Convolve over time, then over space, around a skip that the last activation is behind."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.act = QuickGELU()
        self.time = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        self.space = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T, H, W) to the same."""
        y = rearrange(self.norm(rearrange(x, "b c t h w -> b t h w c")), "b t h w c -> b c t h w")
        x = self.act(x + self.space(self.act(self.time(y))))
        return x


class Integration(nn.Module):
    """A token's own MLP, and a bottleneck that convolves it over time, each behind its norm."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.frames, slim = frames, width // 4
        self.norm, self.temporal_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = _mlp(width, width)
        self.down = nn.Linear(width, slim)
        self.conv = nn.Conv2d(slim, slim, (3, 1), padding=(1, 0))
        self.act = QuickGELU()
        self.up = nn.Linear(slim, width)

    def forward(self, u: Tensor) -> Tensor:
        """Map tokens (B T, N, W) to tokens (B T, N, W)."""
        y = self.down(self.temporal_norm(u))
        y = self.conv(rearrange(y, "(b t) n c -> b c t n", t=self.frames))
        y = self.up(rearrange(self.act(y), "b c t n -> (b t) n c"))
        y = y + self.mlp(self.norm(u))
        return y


class Stage(nn.Module):
    """What happens after one block: both nets take a step and tell each other.

    The authors' last stage tells the temporal net, too, which nobody reads by then: ours does not.
    """

    def __init__(self, dim: int, width: int, slim: int, frames: int, stride: int, last: bool):
        super().__init__()
        self.stride = stride
        self.temporal = TemporalNet(slim)
        self.inputs = nn.Linear(dim, width)
        self.to_space = nn.Conv3d(slim, width, (stride, 1, 1), stride=(stride, 1, 1))
        self.to_class = nn.Parameter(torch.empty(frames, 1, width))
        self.to_time = None if last else nn.Linear(width, slim)
        self.integration = Integration(width, frames)

    def forward(self, tokens: Tensor, r: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take a block's tokens (B t, 1 + H W, D), the last integration, and (B, C, T, H, W).

        Returns:
            The integration and what it was made of, both (B t, 1 + H W, W), and (B, C, T, H, W).
        """
        x = self.temporal(x)
        m = self.inputs(tokens)
        m = m if r is None else m + r
        patches = rearrange(self.to_space(x), "b c t h w -> (b t) (h w) c")
        token = repeat(self.to_class, "t one c -> (b t) one c", b=x.shape[0])
        u = m + torch.cat([token, patches], dim=1)
        if self.to_time is not None:
            told = rearrange(
                self.to_time(m[:, 1:]), "(b t) (h w) c -> b c t h w", b=x.shape[0], h=x.shape[-2]
            )
            x = x + told.repeat_interleave(self.stride, dim=2)
        return self.integration(u), u, x


class Query(nn.Module):
    """A query that attends to tokens, with one norm for both, and an MLP of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, width // HEAD_WIDTH, batch_first=True)
        self.mlp = _mlp(width, 4 * width)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """Map queries (B, 1, W) and tokens (B, N, W) to queries (B, 1, W)."""
        y = self.norm(tokens)
        query = query + self.attn(self.norm(query), y, y, need_weights=False)[0]
        query = query + self.mlp(self.mlp_norm(query))
        return query


class Pooling(nn.Module):
    """A query per frame reads its tokens, and a query per clip reads those of the frames."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(1, frames, width))
        self.space, self.time = Query(width), Query(width)

    def forward(self, frame: Tensor, clip: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map queries (B t, 1, W) and (B, 1, W) and tokens (B t, N, W) to such queries."""
        frame = self.space(frame, tokens)
        frames = rearrange(frame, "(b t) one w -> b (t one) w", b=clip.shape[0])
        return frame, self.time(clip, frames + self.positions)


class DiSTReader(nn.Module):
    """Make a clip's feature from a frozen ViT's blocks and from the clip itself."""

    def __init__(self, model: VideoViT, width: int, slim: int, stride: int, pooling: int) -> None:
        super().__init__()
        vit, frames = model.vit, model.frames // stride
        self.prefix, dim, depth = vit.num_prefix_tokens, vit.embed_dim, len(vit.blocks)
        kernel = vit.patch_embed.patch_size
        channels = vit.patch_embed.proj.in_channels
        self.stem = nn.Conv3d(channels, slim, (5, *kernel), (1, *kernel), padding=(2, 0, 0))
        self.stages = nn.ModuleList(
            Stage(dim, width, slim, frames, stride, last=index == depth - 1)
            for index in range(depth)
        )
        self.frame_query = nn.Parameter(torch.empty(1, 1, width))
        self.clip_query = nn.Parameter(torch.empty(1, 1, width))
        self.pooling = nn.ModuleList(Pooling(width, frames) for _ in range(pooling))
        self.class_token = nn.Linear(dim, width)
        self.norm = nn.LayerNorm(width)
        self.apply(_start)

    def forward(self, video: Tensor, taps: list[Tensor]) -> Tensor:
        """Map clips (B, C, T, H, W) and every block's tokens (B t, N, D) to features (B, W)."""
        x, batch = self.stem(video), video.shape[0]
        r: Tensor | None = None
        for stage, tap in zip(self.stages, taps, strict=True):
            tokens = torch.cat([tap[:, :1], tap[:, self.prefix :]], dim=1)
            r, u, x = stage(tokens, r, x)
        frame = self.frame_query.repeat(u.shape[0], 1, 1)
        clip = self.clip_query.repeat(batch, 1, 1)
        for each in self.pooling:
            frame, clip = each(frame, clip, r + u)
        mean = rearrange(taps[-1][:, 0], "(b t) d -> b t d", b=batch).mean(1)
        feature: Tensor = self.norm(clip[:, 0] + self.class_token(mean))
        return feature


def _mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), QuickGELU(), nn.Linear(hidden, width))


def _start(module: nn.Module) -> None:
    """Draw what is not a norm's or PyTorch's attention's from a truncated normal of 0.02."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
        assert module.bias is not None
        nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, Stage | Pooling | DiSTReader):
        for own in module.parameters(recurse=False):
            nn.init.trunc_normal_(own, std=0.02)


def dist(
    model: VideoViT,
    *,
    width: int = 384,
    temporal_width: int = 96,
    stride: int = 2,
    pooling: int = 2,
    text: str | Tensor | None = None,
) -> None:
    """Train an integration net of `width` and a temporal net of `temporal_width` beside the ViT.

    The ViT sees every `stride`-th frame: "8+16 frames" are 16 of the clip here. Two layers of
    `pooling` are the paper's, four the authors' on Kinetics. With `text`, a .npy, .safetensors or
    .pt file of CLIP's features of the class names (K, E), the head is the paper's: frozen cosines
    times 100, behind a projection that trains. ViT-B/16, 16 frames, two layers, without head:
    18,767,616 parameters; the authors' 19,001,184 have a projection to 512, and 36,960 that no
    gradient reaches. Their tower embeds the frames that it does not see, too; ours does not.
    Registers are not read.
    """
    if not model.vit.has_class_token:
        raise ValueError("this ViT has no class token, which DiST's nets read")
    demand_size("temporal_width", temporal_width)
    demand_size("stride", stride)
    demand_size("pooling", pooling)
    if width < 1 or width % HEAD_WIDTH:
        raise ValueError(f"width is {width}, not a multiple of {HEAD_WIDTH}, as wide as a head")
    reader = DiSTReader(model, width, temporal_width, stride, pooling)
    taps = range(1, len(model.vit.blocks) + 1)
    model.read_by(reader, taps=taps, width=width, stride=stride)
    if text is not None:
        compare_with_text(model, text)
