"""Shared parts of strategies: ramp-ups, averaged teachers, confident pseudo-labels, views and mixing."""
