"""The authors' checkpoints as our models: one file per paper, found by its name."""

from benchmark.official.convert import from_official

__all__ = ["from_official"]
