"""The folder `recipes/`: YAML files become a recipe, a recipe its parts."""
