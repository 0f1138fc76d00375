"""How fast a training step is, what it keeps in memory, and how both grow: measured."""
