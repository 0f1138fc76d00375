"""What the image model forgot of its own task: a head on its stills, before and after adaptation.

Only where that task is at hand: of the embedded backbone, which learned to name still digits. Its
own head was not kept. In its place stands the nearest class mean (Mensink et al., 2013), fitted to
the frozen backbone's features of the images it was pretrained on, and left as it is: an adapted
model is asked through the head of the model that it began as.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.models.video_vit import VideoViT
from datamodules.datasets._digits import IMAGES, digits, stills

POSES, SEED, BATCH = 3, 0, 100  # of every image; of poses, ink and noise; stills at a time


@torch.no_grad()
def still_head(
    adapted: VideoViT, frozen: VideoViT, *, size: int, mean: Sequence[float], std: Sequence[float]
) -> dict[str, float] | None:
    """Return the share of test digits named right by the frozen and by the adapted model.

    None: what the adapted model's head sees is of another width, as a reader's, and no such head
    fits it.

    Args:
        adapted: The model under examination, in eval mode.
        frozen: Of the same backbone, as it was pretrained.
        size: H and W of a still.
        mean: (C,), of the backbone's normalisation.
        std: (C,), of the same.
    """
    if adapted.head.in_features != frozen.head.in_features:
        return None
    rng, (images, labels) = np.random.default_rng(SEED), digits()
    device = next(adapted.parameters()).device
    scale = [torch.tensor(each)[:, None, None] for each in (mean, std)]

    def draw(split: str) -> tuple[Tensor, Tensor]:
        numbers = np.repeat(np.asarray(IMAGES[split]), POSES)
        pictures = torch.from_numpy(stills(images[numbers], rng, size=size)).permute(0, 3, 1, 2)
        return (pictures / 255 - scale[0]) / scale[1], torch.from_numpy(labels[numbers])

    def features(model: VideoViT, pictures: Tensor) -> Tensor:
        shape = (-1, -1, model.frames, -1, -1)  # a still for the length of a clip
        clips = (each[:, :, None].expand(shape).to(device) for each in pictures.split(BATCH))
        seen = torch.cat([model.features(each).float().cpu() for each in clips])
        return F.normalize(seen, dim=1)

    learned, known = draw("train")
    asked, right = draw("test")
    fitted = features(frozen, learned)
    means = torch.stack([fitted[known == each].mean(dim=0) for each in range(int(known.max()) + 1)])

    def accuracy(model: VideoViT) -> float:
        answers = (features(model, asked) @ F.normalize(means, dim=1).T).argmax(dim=1)
        return float((answers == right).double().mean())

    return {"before": accuracy(frozen), "after": accuracy(adapted)}
