"""Built-in augmentations, found by entry points."""
