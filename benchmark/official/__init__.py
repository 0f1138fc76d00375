"""The authors' checkpoints as our models: one file per paper, found by its name.

A paper's file is called as its method is and holds two things: `NAMES`, what the authors call what
the method adds, and a function that returns the method's options. That function is given

    state   the file's tensors, under the authors' names without what surrounds the tower
    vit     an untrained ViT of the tower's shape, before the method
    config  the authors' own options, under their names; empty where nobody has them

and reads off them what it can. Files that start with an underscore are what all papers share.
"""

from benchmark.official._convert import from_official

__all__ = ["from_official"]
