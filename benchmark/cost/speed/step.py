"""One training step of a model, on a clip that stays: timed, its memory counted, its gradients."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

from benchmark.cost.saved import SavedForBackward
from benchmark.errors import UserError
from benchmark.models.video_vit import VideoViT

# Largest differences over the largest value, of the same mathematics in another order.
TOLERANCES = {"32-true": 1e-4, "bf16-mixed": 5e-2}
FASTEST_SQUARE = {"cpu": 1536, "cuda": 8192}  # side of the product that a matrix rate is taken of


class Step:
    """A model, a batch, an optimiser: one training step, as often as one likes.

    The learning rate is 0: AdamW does all its work, and every step is the same.

    Args:
        model: Taken to `device`.
        video: Clips (B, C, T, H, W).
        label: Their classes (B,).
        device: "cpu" or "cuda".
        precision: "32-true", or "bf16-mixed": products under autocast.
    """

    def __init__(
        self, model: VideoViT, video: Tensor, label: Tensor, *, device: str, precision: str
    ) -> None:
        self.model = model.to(device).train()
        self.video, self.label = video.to(device), label.to(device)
        self.device, self.mixed = device, precision == "bf16-mixed"
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = AdamW(trained, lr=0.0, fused=True)  # as in training

    def loss(self) -> Tensor:
        """Return the loss of a forward pass."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            return cross_entropy(self.model(self.video), self.label)

    def train(self) -> None:
        """Take a step."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        self.optimizer.step()

    @torch.no_grad()
    def forward(self) -> Tensor:
        """Return the logits (B, K) of a test's forward pass."""
        self.model.eval()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            logits: Tensor = self.model(self.video)
        return logits

    def memory(self) -> int:
        """Return the bytes kept for backward on a CPU, allocated at most in a step on CUDA."""
        self.model.train()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.train()
            return torch.cuda.max_memory_allocated()
        with SavedForBackward(self.model) as saved:
            self.loss()
        return saved.bytes

    def gradients(self) -> dict[str, Tensor]:
        """Return logits and gradients of a step in which nothing is dropped, and take none."""
        self.model.train()
        dropping = [each for each in self.model.modules() if hasattr(each, "drop_prob")]
        dropping += [each for each in self.model.modules() if isinstance(each, nn.Dropout)]
        for each in dropping:
            each.eval()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            logits = self.model(self.video)
            cross_entropy(logits, self.label).backward()
        found = {n: p.grad for n, p in self.model.named_parameters() if p.grad is not None}
        self.optimizer.zero_grad(set_to_none=True)
        return {"the logits": logits.detach(), **found}


def demand_equal(own: Step, other: Step, precision: str, what: str) -> None:
    """Check that two forms of a model compute the same, before their times are compared.

    Raises:
        UserError: logits or a gradient differ by more than `TOLERANCES` of the largest value.
    """
    ours, theirs = own.gradients(), other.gradients()
    limit = TOLERANCES[precision]
    if odd := sorted(ours.keys() ^ theirs.keys()):
        raise UserError(
            f"{what} computes something else: only one form trains {odd[0]}; nothing is timed"
        )
    largest = max(float(each.abs().max()) for each in list(theirs.values())[1:])
    for name, value in theirs.items():
        scale = float(value.abs().max()) if name == "the logits" else largest
        distance = float((ours[name].float() - value.float()).abs().max()) / max(scale, 1e-30)
        if not distance <= limit:
            raise UserError(
                f"{what} computes something else: {name} differs by {distance:.1e} of the largest "
                f"value, more than {limit:.0e}; nothing is timed"
            )


def seconds(action: Callable[[], object], device: str) -> float:
    """Return how long something takes: of a CPU its time on the one thread, on CUDA by events."""
    if device == "cuda":
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        first.record()
        action()
        last.record()
        torch.cuda.synchronize()
        return float(first.elapsed_time(last)) / 1e3
    start = time.process_time()  # a core's: what else runs here hardly matters
    action()
    return time.process_time() - start


class MatrixProduct:
    """A large product of matrices: the rate that a machine reaches at its best."""

    def __init__(self, device: str, precision: str) -> None:
        side, dtype = FASTEST_SQUARE[device], torch.float32
        if precision == "bf16-mixed":
            dtype = torch.bfloat16
        self.device, self.macs = device, side**3
        self._factors = [torch.randn(side, side, device=device).to(dtype) for _ in range(2)]

    def rate(self) -> float:
        """Return multiply-accumulates per second, of one more product."""
        return self.macs / seconds(lambda: self._factors[0] @ self._factors[1], self.device)
