"""The authors' checkpoints as our models: one file per paper, found by its name.

A paper's file is called as golden files call it, mostly as its method, and holds

    NAMES   what the authors call what the method adds, and what we call it
    METHOD  our method, where it has another name than the file
    STACKED what is one tensor there and one per block here, and the block that its first is of
    UNUSED  what the authors' files hold, and may even train, but nothing reads: left out

and a function that returns the method's options, or None where all was merged into the tower. It is
given

    state   the file's tensors, under the authors' names without what surrounds the tower
    vit     an untrained ViT of the tower's shape, before the method
    config  the authors' own options, under their names; empty where nobody has them

and reads off them what it can. In names `*` stands for a number between dots, in UNUSED `-1` for
the last of them. Files that start with an underscore are what all papers share.
"""

from benchmark.official._convert import from_official, paper_of

__all__ = ["from_official", "paper_of"]
