"""How training clips are varied: what there is to set, for recipes, and without torch.

A field's metadata is what its type cannot say, as `benchmark.recipes.schema` describes it. What is
left unset has no default here: recipes/base.yaml says.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class RandAugment:
    """RandAugment, the same operations on all frames of a clip."""

    operations: int = field(metadata={"least": 0, "most": 15})  # per clip; 0: none
    magnitude: float = field(metadata={"least": 0, "most": 10})  # of 10, imgaug's of 30
    std: float = field(
        metadata={"least": 0, "most": 10}
    )  # of the magnitude, drawn anew per operation
    probability: float = field(metadata={"least": 0, "most": 1})  # of each operation
    when: Literal["before", "after"]  # the crop and the flip
    library: Literal["pytorchvideo", "timm", "imgaug"]  # whose operations


@dataclass(frozen=True)
class Erasing:
    """Random erasing: one rectangle of a clip, the same in all frames, loses its picture."""

    probability: float = field(metadata={"least": 0, "most": 1})
    fill: Literal["zero", "grey", "noise"]  # normalised 0, pixel value 128, pixel noise


@dataclass(frozen=True)
class Augment:
    """How training clips are varied, in this order unless said otherwise.

    Crops are "resized", a part by scale and ratio, or "plain", a square of the clip's size. Mixup
    and cutmix are the alpha of the Beta distribution of the shares of two clips, 0 being none;
    where both are above 0 each pair draws which.
    """

    short_side: list[int] | None = field(  # least, most pixels; None: as is
        metadata={"length": 2, "least": 1, "rising": True}
    )
    randaugment: RandAugment
    crop: Literal["resized", "plain"]
    scale: list[float] = field(  # least, most share of the area cropped
        metadata={"length": 2, "above": 0, "most": 1, "rising": True}
    )
    ratio: list[float] = field(  # least, most width over height of a crop
        metadata={"length": 2, "above": 0, "rising": True}
    )
    flip: float = field(metadata={"least": 0, "most": 1})  # probability, if the dataset allows it
    greyscale: float = field(metadata={"least": 0, "most": 1})  # probability; all frames or none
    lighting: float = field(
        metadata={"least": 0, "most": 1}
    )  # std of AlexNet's shift of colours; 0: none
    erasing: Erasing
    mixup: float = field(metadata={"least": 0})
    cutmix: float = field(metadata={"least": 0})
