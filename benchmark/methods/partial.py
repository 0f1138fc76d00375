"""Partial fine-tuning (Yosinski et al., 2014), https://arxiv.org/abs/1411.1792: the last blocks."""

from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": True,
    "needs_class_token": False,
}


def partial(model: VideoViT, *, blocks: int = 1) -> None:
    """Train the last `blocks` blocks and the final norm.

    With one block this is VPT's "partial-1" (Jia et al., 2022): 7,397,008 parameters in ViT-B/16
    with a head of 400 classes.
    """
    depth = len(model.vit.blocks)
    if not 1 <= blocks <= depth:
        raise ValueError(f"blocks is {blocks}; this ViT has 1 to {depth} of them to thaw")
    model.vit.blocks[depth - blocks :].requires_grad_(True)
    model.final_norm().requires_grad_(True)
