"""A benchmark of parameter-efficient image-to-video transfer."""

__version__ = "0.1.0"
