"""Models too large for one device: every block's parameters spread over all of them (FSDP2).

`trainer.strategy=fsdp`: a block is put together where it is computed, and let go of again (Zhao et
al., 2023, arXiv:2304.11277). What is frozen is spread like what trains, and costs no gradient.
"""

from datetime import timedelta

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from benchmark.models.video_vit import VideoViT

NAME = "fsdp"


def strategy(world: int, waiting: timedelta) -> ModelParallelStrategy:
    """Return the strategy of `world` devices; checkpoints are whole, as everybody else's.

    Args:
        world: How many they are.
        waiting: How long one waits for another.
    """
    return ModelParallelStrategy(
        data_parallel_size=world,
        tensor_parallel_size=1,
        save_distributed_checkpoint=False,
        timeout=waiting,
    )


def shard(model: VideoViT, mesh: DeviceMesh) -> None:
    """Spread the parameters of `model` over the devices of `mesh`; once is enough."""
    if isinstance(model, FSDPModule):
        return
    for block in model.vit.blocks:
        assert isinstance(block, nn.Module)
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def is_sharded(model: nn.Module) -> bool:
    """Return whether the parameters of `model` are spread."""
    return isinstance(model, FSDPModule)
