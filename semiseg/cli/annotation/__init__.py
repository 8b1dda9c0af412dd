"""Commands of the annotation loop."""
