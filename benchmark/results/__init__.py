"""The folder results/: what a record holds, which are out of date, what papers printed."""
