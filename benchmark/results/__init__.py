"""The folder `results/`: records become numbers, tables and pages."""
