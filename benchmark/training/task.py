"""Every method as one LightningModule, around its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import torch
from lightning import LightningModule
from numpy.random import SeedSequence
from torch import Tensor
from torch.nn import functional as F

from benchmark.models import checkpoint
from benchmark.models.lean import lean
from benchmark.models.video_vit import VideoViT
from benchmark.training import evaluation
from benchmark.training.fsdp import shard
from benchmark.training.optim import adamw, sgd, warmup_cosine


@final
class Classification(LightningModule):
    """Train a `VideoViT` with cross-entropy, and evaluate it exactly.

    Args:
        model: changed by its method; what requires a gradient is trained, and saved.
        lr: peak learning rate. `head_lr`: that of the head, None: the same. `layer_decay`: how many
            times as fast a block learns as the one behind it.
        algorithm: "adamw", with `betas`, or "sgd", with `momentum` and `nesterov`.
        weight_decay: of what decays. `no_decay`: what does not (`benchmark.models.decay`).
        warmup: epochs of linear warm-up. `warmup_start`: share of the rate it starts at.
        schedule: "step" or "epoch": how often the cosine falls. `drops`: epochs from which on the
            rate is a tenth, instead of a cosine.
        label_smoothing: of the cross-entropy in training.
        lean: whether to save less memory for backward (`benchmark.models.lean`).
        test_batch: clips per forward in evaluation.
        seed: of dropout and drop-path, whose draws depend on (seed, step, rank) alone.
        steps: of the optimiser, in all. None: the Trainer is asked, which starts the loaders to
            count them: before a checkpoint has said where in an epoch to go on.

    After validation or testing `evaluated` holds the scores of every video, on every rank.
    """

    def __init__(
        self,
        model: VideoViT,
        *,
        lr: float,
        head_lr: float | None = None,
        layer_decay: float = 1.0,
        algorithm: Literal["adamw", "sgd"] = "adamw",
        weight_decay: float = 0.05,
        no_decay: Sequence[str] = ("vectors",),
        betas: Sequence[float] = (0.9, 0.999),
        momentum: float = 0.9,
        nesterov: bool = False,
        warmup: float = 0.0,
        warmup_start: float = 0.0,
        schedule: Literal["step", "epoch"] = "step",
        drops: Sequence[float] = (),
        label_smoothing: float = 0.0,
        lean: bool = False,
        test_batch: int = 16,
        seed: int = 0,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr, self.head_lr, self.layer_decay = lr, head_lr, layer_decay
        self.weight_decay, self.no_decay, self.betas = weight_decay, no_decay, betas
        self.algorithm, self.momentum, self.nesterov = algorithm, momentum, nesterov
        self.warmup, self.warmup_start = warmup, warmup_start
        self.schedule, self.drops = schedule, drops
        self.label_smoothing, self.test_batch, self.seed = label_smoothing, test_batch, seed
        self.lean, self.steps = lean, steps
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
        number = int(SeedSequence(key).generate_state(1, np.uint64)[0])
        # torch.manual_seed asks every kind of device, noting a stack for what is not there: 0.4 ms
        torch.default_generator.manual_seed(number)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(number)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss, its sum and the number of right answers of clips (B, C, T, H, W).

        "target" (B, K) stands in for "label" (B,) where clips are mixed. "weight" (B,) is what each
        clip's loss counts in their mean, in a smaller last step; a clip of weight 0 is no one's.
        """
        with lean(self.model, self.lean):
            logits = self(batch["video"])
        target = batch.get("target", batch["label"])
        right = logits.detach().argmax(dim=-1) == batch["label"]
        if "weight" not in batch:
            loss = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
            return {"loss": loss, "loss_sum": loss.detach() * len(target), "right": right.sum()}
        smoothing, weight = self.label_smoothing, batch["weight"].to(logits.device)
        losses = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
        own = weight > 0
        loss_sum, right = losses.detach().masked_fill(~own, 0).sum(), right & own
        return {"loss": (losses * weight).mean(), "loss_sum": loss_sum, "right": right.sum()}

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score a batch of videos (B, V, C, T, H, W)."""
        self.test_step(batch, batch_idx)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Score a batch of videos (B, V, C, T, H, W)."""
        self._batches.append(
            evaluation.score(
                self,
                batch["video"],
                batch["label"],
                batch["index"],
                clips=self.test_batch,
                broken=batch["broken"] >= 0,
            )
        )

    def on_validation_start(self) -> None:
        """Evaluate the same model on all ranks."""
        evaluation.agree(self.model)

    def on_test_start(self) -> None:
        """Evaluate the same model on all ranks."""
        evaluation.agree(self.model)

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

    def configure_model(self) -> None:
        """Spread the model over the devices, where the strategy does that."""
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        """Return the optimiser and its schedule, stepped with every optimiser step."""
        how: dict[str, Any] = {
            **{"lr": self.lr, "head_lr": self.head_lr, "layer_decay": self.layer_decay},
            **{"weight_decay": self.weight_decay, "no_decay": self.no_decay},
        }
        optimizer: torch.optim.Optimizer
        if self.algorithm == "sgd":
            optimizer = sgd(self.model, momentum=self.momentum, nesterov=self.nesterov, **how)
        else:
            optimizer = adamw(self.model, betas=self.betas, **how)
        steps, epochs = self.steps, self.trainer.max_epochs or 1
        if steps is None:
            steps = int(self.trainer.estimated_stepping_batches)
        schedule = warmup_cosine(
            optimizer,
            warmup=round(self.warmup * steps / epochs),
            steps=steps,
            start=self.warmup_start,
            epochs=epochs if self.schedule == "epoch" else None,
            drops=[each * steps / epochs for each in self.drops],
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Keep only what training changes."""
        trained = checkpoint.trained(self)
        state = checkpoint_["state_dict"]  # whole, also where a parameter here is but a shard
        checkpoint_["state_dict"] = {name: state[name] for name in trained if name in state}

    def on_load_checkpoint(self, checkpoint_: dict[str, Any]) -> None:
        """Refuse a checkpoint that does not hold exactly what trains here."""
        if "state_dict" in checkpoint_:  # else the strategy has spread it already
            checkpoint.load_trained(self, checkpoint_["state_dict"])
