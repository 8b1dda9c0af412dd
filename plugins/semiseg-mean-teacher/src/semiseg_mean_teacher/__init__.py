"""Strategies whose teacher is the moving average of the student."""
