"""The folder `runs/`: where a run works, and its process."""
