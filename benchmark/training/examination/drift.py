"""What the image model forgot: how far its features of stills are from those before adaptation."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional as F

from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT


class StillFeatures(LightningModule):
    """Compare the features that two models have of stills, one frame for the length of a clip.

    Args:
        adapted: The model under examination.
        frozen: Of the same backbone, as it was pretrained.

    Attributes:
        cosines: (V,) of every batch, after a test: one for every view of a video.
    """

    def __init__(self, adapted: VideoViT, frozen: VideoViT) -> None:
        super().__init__()
        self.adapted, self.frozen = adapted, frozen
        self.cosines: list[Tensor] = []

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Compare what both make of videos (B, V, C, T, H, W); of broken ones there is nothing."""
        seen = (batch["index"] >= 0) & (batch["broken"] < 0)
        stills = batch["video"][seen].flatten(0, 1)
        if len(stills):
            now, before = self.adapted.features(stills), self.frozen.features(stills)
            self.cosines.append(F.cosine_similarity(now.float(), before.float(), dim=1).cpu())

    def drift(self) -> dict[str, float]:
        """Return the mean cosine (1: as before), and that which a tenth of the stills are below.

        Raises:
            UserError: No video could be decoded.
        """
        if not self.cosines:
            raise UserError("no video could be decoded")
        cosines = torch.cat(self.cosines).double()
        return {"cosine": float(cosines.mean()), "cosine_p10": float(cosines.quantile(0.1))}
