"""Comparing methods on the same cases."""
