"""Linear probing: the frozen ViT as it is, under a trained head. The floor of every table."""

from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": False,
    "starts_frozen": True,
    "merges": False,
    "backpropagates": False,
    "needs_class_token": False,
}


def linear_probe(model: VideoViT) -> None:
    """Train nothing but the head."""
