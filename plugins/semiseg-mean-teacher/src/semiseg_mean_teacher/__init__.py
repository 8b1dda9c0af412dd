"""Strategies with a teacher that is the moving average of the student."""
