"""Kinetics-700 (Carreira et al., 2019), https://arxiv.org/abs/1907.06987, and its 2020 edition."""

from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets._kinetics import KineticsOptions, kinetics

CLASSES = 700
SIZES = (
    (542_357, 34_824),  # OpenMMLab's copy
    (534_073, 33_914),  # what CVDF hosts, the 2020 edition
)


def kinetics700(**options: Unpack[KineticsOptions]) -> DatasetInfo:
    """Return Kinetics-700: ten seconds of YouTube, one of 700 actions; often one frame is enough.

    Args:
        **options: As in `datamodules._kinetics.KineticsOptions`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    return kinetics("kinetics700", CLASSES, SIZES, **options)
