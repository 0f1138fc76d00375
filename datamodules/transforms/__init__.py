"""What happens to frames: sizes, crops, augmentation, mixing."""
