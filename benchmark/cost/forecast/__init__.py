"""What a sweep will take: hours, memory, decoding cores and disk, before it is run."""
