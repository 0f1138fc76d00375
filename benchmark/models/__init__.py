"""What is adapted, and its files: a backbone becomes a `VideoViT`."""

from benchmark.models.video_vit import VideoViT, blocks

__all__ = ["VideoViT", "blocks"]
