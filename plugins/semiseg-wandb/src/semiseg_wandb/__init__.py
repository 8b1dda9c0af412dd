"""Runs of semiseg in Weights & Biases."""
