"""The folder results/: what a record holds, which are out of date, right answers, what papers printed."""
