"""What Lightning says in vain, kept from whoever can do nothing about it."""

import logging
import warnings

NOISE = (
    "The `srun` command is available",  # a run outside of Slurm is meant to be
    ".*LeafSpec",  # lightning 2.6 on torch 2.15
    "You're resuming from a checkpoint that ended before the epoch",  # our samplers resume
    "It is recommended to use .*sync_dist=True",  # every rank has the same number
    ".*does not have many workers",
)


def quiet() -> None:
    """Keep to what somebody can do something about: no hints, no tables of devices."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
