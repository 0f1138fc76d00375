"""How far a test is, told to whoever shows it."""

from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer


class VideosTested(Callback):
    """Tell how many videos are tested.

    Args:
        tell: Is told after every batch how many more they are, over all ranks.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell = tell

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the videos of the batch; the ranks' batches are alike."""
        if trainer.is_global_zero:
            self.tell(int((batch["index"] >= 0).sum()) * trainer.world_size)
