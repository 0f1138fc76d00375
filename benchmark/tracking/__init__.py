"""What is seen of a run while it trains: progress lines, its curve, wandb."""
