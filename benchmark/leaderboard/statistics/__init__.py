"""What can be concluded: estimates with intervals, differences, ranks, fronts, scores."""
