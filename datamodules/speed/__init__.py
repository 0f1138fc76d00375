"""How fast clips are decoded, beside other ways to."""
