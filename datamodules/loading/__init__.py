"""From an index of a split to a sample: which frames, of which video, in which order."""
