"""Built-in datasets, found by entry points."""
