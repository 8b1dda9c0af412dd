"""Preprocessing of a case: its axes, box, grid and intensities, and the way back to its file."""
