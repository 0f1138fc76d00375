"""The command line, a file per kind of thing: runs, results, models, data.

What a verb needs is imported in its function: the command line must start at once, without torch.
"""
