"""Decode once, train many: runs that see the same clips at about the same time share them."""
