"""A user's mistakes, told in one line; `datamodules.errors` has them, for both storeys."""

from datamodules.errors import UserError, nearest

__all__ = ["UserError", "nearest"]
