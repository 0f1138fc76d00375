"""The folder results/: records, right answers, what of them is stale, what papers printed."""
