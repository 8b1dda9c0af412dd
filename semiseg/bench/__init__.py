"""Timing the stages of a training on one's own machine and data."""
