"""Sliding-window prediction."""
