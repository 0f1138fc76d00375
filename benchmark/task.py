"""Every method as one LightningModule, around its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from lightning import LightningModule
from numpy.random import SeedSequence
from torch import Tensor
from torch.nn import functional as F

from benchmark import checkpoint, evaluation
from benchmark.model import VideoViT
from benchmark.optim import adamw, warmup_cosine

if TYPE_CHECKING:
    from datamodules._video import VideoDataModule


@final
class Classification(LightningModule):
    """Train a `VideoViT` with cross-entropy, and evaluate it exactly.

    Args:
        model: changed by its method; what requires a gradient is trained, and saved.
        lr: peak learning rate. `head_lr`: that of the head, None: the same.
        weight_decay: of matrices and kernels. `betas`: AdamW's.
        warmup: epochs of linear warm-up before the cosine decay.
        label_smoothing: of the cross-entropy in training.
        test_batch: clips per forward in evaluation.
        seed: of dropout and drop-path, whose draws depend on (seed, step, rank) alone.

    After validation or testing `evaluated` holds the scores of every video, on every rank.
    """

    def __init__(
        self,
        model: VideoViT,
        *,
        lr: float,
        head_lr: float | None = None,
        weight_decay: float = 0.05,
        betas: Sequence[float] = (0.9, 0.999),
        warmup: float = 0.0,
        label_smoothing: float = 0.0,
        test_batch: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr, self.head_lr = lr, head_lr
        self.weight_decay, self.betas, self.warmup = weight_decay, betas, warmup
        self.label_smoothing, self.test_batch, self.seed = label_smoothing, test_batch, seed
        self.evaluated: evaluation.Scores | None = None
        self._batches: list[evaluation.Scores] = []
        self.strict_loading = False  # a checkpoint holds what trained; `restore` is the strict one

    def forward(self, video: Tensor) -> Tensor:
        """Map normalised clips (B, C, T, H, W) to logits (B, K)."""
        logits: Tensor = self.model(video)
        return logits

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed this step's draws, so that a resumed run makes those of an uninterrupted one."""
        key = (self.seed, self.trainer.current_epoch, batch_idx, self.trainer.global_rank)
        torch.manual_seed(int(SeedSequence(key).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and number of right answers of a batch of clips (B, C, T, H, W)."""
        logits = self(batch["video"])
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=self.label_smoothing)
        right = (logits.detach().argmax(dim=-1) == batch["label"]).sum()
        return {"loss": loss, "right": right}

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score a batch of videos (B, V, C, T, H, W)."""
        self.test_step(batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score a batch of videos (B, V, C, T, H, W)."""
        self._batches.append(
            evaluation.score(
                self, batch["video"], batch["label"], batch["index"], clips=self.test_batch
            )
        )

    def on_validation_epoch_end(self) -> None:
        """Gather the scores of all ranks and log the metrics."""
        self._finish("val", self.trainer.val_dataloaders)

    def on_test_epoch_end(self) -> None:
        """Gather the scores of all ranks and log the metrics."""
        self._finish("test", self.trainer.test_dataloaders)

    def _finish(self, stage: str, loader: Any) -> None:
        self.evaluated = evaluation.gather(self._batches, expected=len(loader.dataset))
        self._batches = []
        for name, value in evaluation.metrics(self.evaluated).items():
            # Every rank computed the same number from the same scores: there is nothing to reduce.
            self.log(f"{stage}/{name}", torch.tensor(value, dtype=torch.float64), sync_dist=False)

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule, stepped with every optimiser step."""
        optimizer = adamw(
            self.model,
            lr=self.lr,
            head_lr=self.head_lr,
            weight_decay=self.weight_decay,
            betas=self.betas,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = round(self.warmup * steps / max(1, self.trainer.max_epochs or 1))
        schedule = warmup_cosine(optimizer, warmup=warmup, steps=steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Keep of the parameters only those that train."""
        checkpoint_["state_dict"] = checkpoint.trained(self)

    def on_load_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Refuse a checkpoint that does not hold exactly what trains here."""
        checkpoint.restore(self, checkpoint_["state_dict"])


def load_run(name: str, overrides: Sequence[str] = ()) -> tuple[Classification, VideoDataModule]:
    """Return any run as a LightningModule and its data, for anyone's own Trainer.

    Args:
        name: `protocol/data/backbone/method`, with `/seedN` or without.
        overrides: `key=value`, as on the command line.
    """
    from benchmark import run  # the only function here that needs recipes and videos
    from benchmark.recipe import load

    recipe = load(name, overrides)
    data = run.datamodule(recipe)
    model, _ = run.model(recipe, data.num_classes)
    return run.task(recipe, model), data
