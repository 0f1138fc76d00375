"""Videos in tar files that are read by byte range, under the paths they had as files."""
