"""Built-in strategies, found by entry points."""
