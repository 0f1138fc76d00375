"""The datasets, one file each: a function with the dataset's name that returns a `DatasetInfo`.

Files that start with an underscore hold what several share and cannot be named in a recipe.
"""
