"""BitFit (Ben Zaken et al., 2022), https://arxiv.org/abs/2106.10199: the biases train."""

from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


def bitfit(model: VideoViT) -> None:
    """Train every bias of the ViT, those of its norms included.

    The bias of the keys is one of them: softmax takes away what it adds, so it hardly moves, and
    every count of the method has it. ViT-B/16: 102,912 parameters plus the head.
    """
    for name, parameter in model.vit.named_parameters():
        if name.endswith("bias"):
            parameter.requires_grad_(True)
