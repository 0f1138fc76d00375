"""Test views are kept from the first pass over them for the next, as far as memory goes."""

import mmap

import torch
from torch.utils.data import Dataset

from datamodules.loading.clips import AllViews, Item
from datamodules.sharing.memory import Slots, affordable, anonymous, slot_size


class KeptViews(Dataset[Item]):
    """All views of videos, each decoded once by this process and the workers forked from it.

    What does not fit is decoded every time; so is a video that cannot be.

    Args:
        views: Where they come from.
        size: Bytes that they may take; never more than half of what is free.
    """

    def __init__(self, views: AllViews, size: float) -> None:
        self.views = views
        each = slot_size(views.views, 3, views.frames, views.size, views.size)
        self.kept = min(len(views), affordable(size) // each)  # the first so many videos
        if self.kept:
            self._slots = Slots(anonymous(self.kept * each), each)
            self._there = mmap.mmap(-1, self.kept)  # a byte for each

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.kept:
            return self.views[index]
        if self._there[index]:
            pictures, rest = self._slots.read(index)
            return {**rest, "video": torch.from_numpy(pictures)}
        item = self.views[index]
        if item["broken"] < 0:
            rest = {name: value for name, value in item.items() if name != "video"}
            self._slots.write(index, item["video"].numpy(), rest)
            self._there[index] = 1
        return item
