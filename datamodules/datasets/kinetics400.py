"""Kinetics-400 (Kay et al., 2017), https://arxiv.org/abs/1705.06950."""

from typing import Unpack

from datamodules.dataset_info import DatasetInfo
from datamodules.datasets._kinetics import KineticsOptions, kinetics

CLASSES = 400
SIZES = (
    (246_534, 19_906),  # the official list, which CVDF hosts
    (240_436, 19_796),  # OpenMMLab's copy
)


def kinetics400(**options: Unpack[KineticsOptions]) -> DatasetInfo:
    """Return Kinetics-400: ten seconds of YouTube, one of 400 actions; often one frame is enough.

    Args:
        **options: As in `datamodules._kinetics.KineticsOptions`.

    Raises:
        UserError: Something is missing, or not what it should be.
    """
    return kinetics("kinetics400", CLASSES, SIZES, **options)
