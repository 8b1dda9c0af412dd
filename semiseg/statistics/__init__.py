"""Intervals, paired tests, label curves and power, on plain arrays."""
