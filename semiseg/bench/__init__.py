"""Timing the stages of a training on the user's own machine and data."""
