"""LayerNorm tuning (Zhao et al., 2023), https://arxiv.org/abs/2312.11420: the norms train."""

from torch import nn

from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


def norm_tuning(model: VideoViT) -> None:
    """Train weight and bias of every LayerNorm of the ViT, the first and the final one included.

    ViT-B/16: 38,400 parameters plus the head; CLIP's, with a norm before its blocks, 39,936.
    """
    for module in model.vit.modules():
        if isinstance(module, nn.LayerNorm):
            module.requires_grad_(True)
