"""The methods: one file each, whose name is the method's name everywhere.

A method is a function that changes a frozen `VideoViT` in place. What it creates is born trainable;
what it thaws, it thaws by name. Its keyword arguments are the schema of its recipes, its defaults
the paper's. Files that start with an underscore hold what two or more methods share.
"""
