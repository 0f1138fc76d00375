"""A trained model, used: answers for anyone's videos, why, and as a file that runs without us."""
