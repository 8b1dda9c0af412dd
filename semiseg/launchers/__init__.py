"""Built-in launchers of studies."""
