"""What else a checkpoint tells than its accuracy: a file per way to look at it."""
