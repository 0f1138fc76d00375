"""The board: records become rows, statistics, pictures and pages."""
