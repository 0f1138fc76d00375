"""From files to frames: exact, only what is wanted, or a clear error."""
