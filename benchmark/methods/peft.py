"""DoRA, (IA)3, VeRA and others as Hugging Face has them, https://github.com/huggingface/peft.

The library computes; this file chooses layers and merges them one by one. Only what runs this
method imports it. A checkpoint's tensors have the library's names: its version is pinned.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.models.video_vit import VideoViT

FACTS = {
    "sees_time": False,
    "starts_frozen": {
        "kind": ["lora", "ia3", "vera", "oft", "loha", "lokr", "hra", "randlora", "miss", "road"]
    },
    "merges": True,
    "backpropagates": True,
    "needs_class_token": False,
}
# Those of the library's that fold into a layer and need neither data nor a call at every step.
KINDS = (*FACTS["starts_frozen"]["kind"], "fourierft", "c3a")  # type: ignore[index]
OURS = ("peft_type", "target_modules", "modules_to_save", "task_type", "inference_mode")


class PeftLayer(nn.Module):
    """A layer of the library's around a frozen one, into which it merges.

    Args:
        layer: of the library; its `get_base_layer()` returns the frozen one.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., inputs) to tokens (..., outputs)."""
        y: Tensor = self.layer(x)
        return y

    @torch.no_grad()
    def merge(self) -> nn.Module:
        """Return the frozen layer with what was added folded in."""
        layer: Any = self.layer.eval()  # in training some kinds would fold in their dropout
        layer.merge()
        return layer.get_base_layer()


def peft(
    model: VideoViT,
    *,
    kind: str,
    targets: str = r"blocks\.\d+\.attn\.qkv",
    config: Mapping[str, Any] | None = None,
) -> None:
    r"""Let the library add `kind` to the ViT's layers whose whole name `targets` matches.

    DoRA is `kind="lora"` with `config={"use_dora": True}`. ViT-B/16, queries, keys and values:
    DoRA of rank 8 322,560 parameters, VeRA of rank 256 30,720; (IA)3 there and before the MLP's
    last layer 64,512; plus the head. None is left after merging.

    Args:
        model: the model to change.
        kind: what the library calls `peft_type`, in lower case.
        targets: a regular expression; `proj` alone would be the patch embedding's, too.
        config: the library's own options of this kind, such as `r`; its defaults otherwise.
    """
    try:
        import peft as library
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise ValueError("needs Hugging Face's peft: pip install '.[peft]'") from None
    from peft.tuners.tuners_utils import BaseTunerLayer

    options = dict(config or {})
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; there are {', '.join(KINDS)}")
    if taken := [key for key in OURS if key in options]:
        raise ValueError(f"config has {', '.join(taken)}, which kind and targets say")
    if options.get("init_lora_weights", True) not in (True, False, "gaussian", "orthogonal"):
        raise ValueError(
            f"config.init_lora_weights is {options['init_lora_weights']!r}, which changes the "
            "frozen weights"
        )
    chosen = {"peft_type": kind.upper(), "target_modules": targets, **options}
    try:
        library.get_peft_model(model.vit, library.get_peft_config(chosen))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"the library refuses this {kind}: {' '.join(str(error).split())}"
        ) from None
    del model.vit.peft_config
    for name, layer in list(model.vit.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            model.vit.set_submodule(name, PeftLayer(layer))
