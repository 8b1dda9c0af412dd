"""Built-in metrics, found by entry points."""
