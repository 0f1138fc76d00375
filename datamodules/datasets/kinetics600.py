"""Kinetics-600 (Carreira et al., 2018), https://arxiv.org/abs/1808.01340."""

from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets._kinetics import KineticsOptions, kinetics

CLASSES = 600
SIZES = (
    (427_549, 29_793),  # what CVDF hosts
    (383_393, 27_910),  # OpenMMLab's copy
    (366_006, 27_935),  # the list of VideoMAE V2
)


def kinetics600(**options: Unpack[KineticsOptions]) -> DatasetInfo:
    """Return Kinetics-600: ten seconds of YouTube, one of 600 actions; often one frame is enough.

    Args:
        **options: As in `datamodules._kinetics.KineticsOptions`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    return kinetics("kinetics600", CLASSES, SIZES, **options)
