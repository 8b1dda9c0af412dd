"""Built-in networks, found by entry points."""
