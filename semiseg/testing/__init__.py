"""Contract suites for the authors of components."""
