"""Datasets, one file each: a function with the dataset's name that returns `Data`.

Files that start with an underscore are machinery and cannot be named in a recipe.
"""
